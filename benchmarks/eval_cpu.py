"""An untrained and the trained guards of `make demo-train` on real benchmarks, on a CPU, by the commands of users.

`safety-reasoning eval run` asks each guard about up to 100 rows of four benchmarks, `safety-reasoning report` makes one
page of all runs. The guards were trained on some rows of three of them: the table is of the others (`eval
contamination`). The untrained model is asked with the same prompt, freely and forced into the format by a grammar;
"always harmful" shows what a number is worth without any guard.

    python benchmarks/eval_cpu.py            # 5 to 10 minutes a guard on two cores; run again, it asks nothing twice
    python benchmarks/eval_cpu.py --quick    # 3 rows of each

The rows are those of the folder that SAFETY_REASONING_DATA names. The last line of stdout is one JSON document.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.measure import Report

from safety_reasoning.eval.runs.folder import Run, read_run
from safety_reasoning.eval.scores.contamination import Contamination, contamination, own_prompt, thresholds, trained_on
from safety_reasoning.eval.scores.item_texts import texts_from_tasks
from safety_reasoning.eval.scores.measure import Measure, Metric
from safety_reasoning.eval.scores.score import DRAWS
from safety_reasoning.train.mixture_read import read_mixture

ROOT = Path(__file__).parent.parent
DEMO, OUT = ROOT / "build" / "demo", ROOT / "build" / "eval"
FILES = {
    "simple_safety_tests": "benchmarks/simple_safety_tests.csv",
    "openai_moderation": "benchmarks/openai_moderation_samples.jsonl",
    "xstest_overrefusal": "benchmarks/xstest_prompts.csv",
    "aegis2_prompt": "aegis-2.0/train.json",
}
"""Tasks, and where their rows are in the folder."""
HARMFUL_ALONE = "simple_safety_tests"
"""It has no harmless row: its recall says it all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One guard, and how it is asked."""

    title: str
    folder: str | None = None
    """That of the guard below build/demo, whose prompt it is asked with."""
    mode: str = "off"
    engine: str = "transformers"
    model: str | None = None
    """None: the guard's own."""
    grammar: str | None = None

    def recipe(self, name: str, data: Path, *, limit: int) -> str:
        """The recipe of its run."""
        run = {"name": self.title, "out": name, "tasks": [*FILES], "max_tokens": 64, "limit": limit}
        places = {task: str(data / file) for task, file in FILES.items()}
        tables = {"run": run | {"counts": "as they are"}, "places": places}
        if self.folder is None:
            tables["guard"] = {"adapter": "always_positive"}
        else:
            guard = str(DEMO / self.folder / "guard")
            tables["guard"] = {"adapter": "ours", "settings.folder": guard, "settings.mode": self.mode}
            tables["guard"] |= {} if self.grammar is None else {"grammar": self.grammar}
            tables["engine"] = {"engine": self.engine, "concurrency": 16}
            tables["engine"] |= {} if self.engine == "embedded" else {"model": self.model or guard}
        return "\n".join(_table(name, values) for name, values in tables.items())


def _table(name: str, values: Mapping[str, object]) -> str:
    """A table of TOML, whose strings, lists and numbers are written as those of JSON."""
    return "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""])


GUARDS = {
    "always_harmful": Asked("always harmful"),
    "untrained": Asked("untrained", "non_reasoning", model="embedded"),
    "untrained_forced": Asked(
        "untrained, forced into the format",
        "non_reasoning",
        engine="embedded",
        grammar="classify_safety_no_reasoning",
    ),
    "non_reasoning": Asked("without reasoning", "non_reasoning"),
    "dual_off": Asked("two modes, asked for none", "dual"),
    "dual_on": Asked("two modes, asked to reason", "dual", mode="on"),
}


def main() -> None:
    """Run, report, tables, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rows of each benchmark")
    quick = parser.parse_args().quick
    named = os.environ.get("SAFETY_REASONING_DATA")
    if named is None or not all((DEMO / folder / "guard").is_dir() for folder in ("non_reasoning", "dual")):
        sys.exit("set SAFETY_REASONING_DATA, and run `make demo-train` first")
    data, report = Path(named).resolve(), Report()
    out = OUT / ("quick" if quick else "demo")
    for name, guard in GUARDS.items():
        began = time.monotonic()
        _run(out, name, guard.recipe(name, data, limit=3 if quick else 100))
        report.measure(f"{guard.title}, s", time.monotonic() - began)
    _report(out, data)
    found = {guard.title: _unseen(read_run(out / name), data) for name, guard in GUARDS.items()}
    report.line()
    _tables(report, found)
    report.line(f"the report is in {(out / 'report.html').relative_to(ROOT)}")
    report.end()


def _run(out: Path, name: str, recipe: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.toml").write_text(recipe, encoding="utf-8")
    _command("eval", "run", str(out / f"{name}.toml"))


def _report(out: Path, data: Path) -> None:
    texts = [part for task, file in FILES.items() for part in ("--items", f"{task}={data / file}")]
    runs = [str(out / name) for name in GUARDS]
    _command("report", *runs, *texts, "--out", str(out / "report.html"), "--markdown", str(out / "report.md"))


def _command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "safety_reasoning.cli", *arguments], check=True, stdout=sys.stderr)


def _unseen(run: Run, data: Path) -> list[Contamination]:
    """The run's tasks, with and without the rows that the guards were trained on: both mixtures have the same texts."""
    mixture = read_mixture(DEMO / "mixture_non_reasoning")
    n, share = thresholds(mixture.stated)
    trained = trained_on(mixture.records(), n=n, min_share=share, own_prompt=own_prompt(mixture.stated))
    texts = texts_from_tasks(run.stated, {task: data / file for task, file in FILES.items()})
    return contamination(run.rows, texts, trained, draws=DRAWS)


def _tables(report: Report, found: Mapping[str, Sequence[Contamination]]) -> None:
    first = next(iter(found.values()))
    for one in first:
        report.line(f"{one.task}: {one.items} rows, {one.items - sum(one.found.values())} of them not trained on")
    for metric in (Metric.F1, Metric.AUROC):
        report.line()
        report.line(f"{metric.value} of the rows that were not trained on ({HARMFUL_ALONE}: recall)")
        report.line()
        report.line(f"| guard | {' | '.join(one.task for one in first)} | no verdict |")
        report.line(f"|---|{'---|' * len(first)}---:|")
        for title, tasks in found.items():
            unparsed = sum(sum(one.all_rows.unparsed.values()) for one in tasks)
            report.line(f"| {title} | {' | '.join(_cells(report, title, tasks, metric))} | {unparsed} |")
    report.line()


def _cells(report: Report, title: str, tasks: Sequence[Contamination], metric: Metric) -> Iterator[str]:
    for one in tasks:
        alone = one.task == HARMFUL_ALONE and metric is Metric.F1
        measure = None if one.clean is None else one.clean.measures[Metric.RECALL if alone else metric]
        if measure is not None and measure.value is not None:
            report.measure(f"{metric.value}, {one.task}, {title}", measure.value)
        yield _cell(measure)


def _cell(measure: Measure | None) -> str:
    if measure is None or measure.value is None:
        return "–"
    ends = "" if measure.interval is None else f" [{measure.interval.low:.3f}, {measure.interval.high:.3f}]"
    return f"{measure.value:.3f}{ends}"


if __name__ == "__main__":
    main()
