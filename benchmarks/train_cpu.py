"""A guard on a CPU: SmolLM2-135M fine-tuned on real labelled prompts, without reasoning and in two modes.

Each is trained by the command that its users give, `safety-reasoning train sft recipes/train/demo/….toml`, and
evaluated on held-out rows before and after. The prompt is shorter than the paper's, and the traces are sentences made
from the annotators' categories: it shows that the training works and what it costs, not how good such guards can be.

    python benchmarks/train_cpu.py            # about a quarter of an hour on two idle cores
    python benchmarks/train_cpu.py --quick    # three steps each, a few rows, no goals

The rows are those of the folder that SAFETY_REASONING_DATA names, else the project's own sample, which is too small for
the goals. The last line of stdout is one JSON document.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from engine.measure import Report
from train_demo.rows import MARK, Row, Split, read_split, write_demo_mixture
from train_demo.statistics import Scores, best_constant, scores
from train_demo.verdicts import Guard, guard_in, untrained

from safety_reasoning.train.model_folder import state_metrics
from safety_reasoning.train.sft_recipe import load_sft_recipe

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "recipes" / "train" / "demo"
MODES = {"non_reasoning": "without reasoning", "dual": "two modes"}
"""What `{key}.toml` trains."""
_AUROC, _MINUTES, _CORES = 0.80, 20.0, 2


@dataclass(slots=True)
class Clock:
    """Seconds by stage: on the wall, and of processors, which a busy machine does not stretch as much."""

    wall: dict[str, float] = field(default_factory=dict)
    processors: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Note the time of the block, and say that it begins."""
        print(f"{stage} …", file=sys.stderr, flush=True)
        began, before = time.monotonic(), _processor_seconds()
        yield
        self.wall[stage] = time.monotonic() - began
        self.processors[stage] = _processor_seconds() - before


def _processor_seconds() -> float:
    """Of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    """Train, evaluate, a table, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three steps each, a few rows")
    quick = parser.parse_args().quick
    named = os.environ.get("SAFETY_REASONING_DATA")
    report, clock = Report(), Clock()
    report.line(f"load when it began: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    split = read_split(Path(named) if named else None, ROOT / "sample", seed=0)
    if quick:
        split = Split(split.train[:64], split.held_out[::8])
    found = _run(split, clock, quick=quick)
    _table(report, split, found)
    _times(report, clock)
    _claims(report, found, clock, judged=bool(named) and not quick)
    report.end()


def _run(split: Split, clock: Clock, *, quick: bool) -> dict[str, Scores]:
    """Scores by guard, in the order of the table."""
    found: dict[str, Scores] = {}
    rows = split.held_out
    for key, name in MODES.items():
        recipe = load_sft_recipe(RECIPES / f"{key}.toml")
        mixture, out = Path(recipe.sft.mixture or ""), Path(recipe.sft.out)
        for folder in (mixture, out):
            shutil.rmtree(folder, ignore_errors=True)
        write_demo_mixture(mixture, split.train, dual=key == "dual")
        if not found:
            with clock.timing("evaluating, untrained"):
                found["untrained"] = _scored(rows, untrained(recipe.model), reasoning=False)
        with clock.timing(f"training, {name}"):
            _train(RECIPES / f"{key}.toml", quick=quick)
        mark = MARK if key == "dual" else None
        guard = guard_in(out / "guard", mark)
        with clock.timing(f"evaluating, {name}"):
            found[f"{name}, asked for none" if mark else name] = _scored(rows, guard, reasoning=False)
        if mark:
            with clock.timing(f"evaluating, {name}, reasoning"):
                found[f"{name}, asked to reason"] = _scored(rows, guard, reasoning=True)
        _state(out / "guard", {label: figures for label, figures in found.items() if label.startswith(name)}, len(rows))
    return found


def _train(recipe: Path, *, quick: bool) -> None:
    steps = ["--max-steps", "3"] if quick else []
    command = [sys.executable, "-m", "safety_reasoning.cli", "train", "sft", str(recipe), *steps]
    subprocess.run(command, check=True, stdout=sys.stderr)


def _scored(rows: Sequence[Row], guard: Guard, *, reasoning: bool) -> Scores:
    return scores(rows, guard.opinions([row.prompt for row in rows], reasoning=reasoning))


def _state(guard: Path, found: dict[str, Scores], rows: int) -> None:
    """Write what was found into the guard's folder and onto its card."""
    evaluations = [
        {
            "name": f"held-out prompts of the demo, {label}",
            "rows": rows,
            "prompt": "the demo's short prompt",
            "values": [
                {"metric": metric, "value": figure.value, "low": figure.low, "high": figure.high}
                for metric, figure in (("AUROC of the verdict", figures.auroc), ("F1 of harmful", figures.f1))
            ],
        }
        for label, figures in found.items()
    ]
    state_metrics(guard, {"evaluations": evaluations})


def _table(report: Report, split: Split, found: dict[str, Scores]) -> None:
    truth = [row.harmful for row in split.held_out]
    report.line()
    report.line(
        f"{len(split.train)} rows trained on, {len(truth)} held out; "
        f"the best constant answer has F1 {best_constant(np.array(truth)):.3f}"
    )
    report.line()
    report.line("| guard | AUROC | F1 of harmful | F1 over the best constant | AUROC by source | no verdict |")
    report.line("|---|---|---|---|---|---:|")
    for label, figures in found.items():
        by_source = ", ".join(f"{source} {value:.2f}" for source, value in figures.auroc_by_source.items())
        cells = (label, figures.auroc, figures.f1, figures.over_constant, by_source, figures.unreached)
        report.line(f"| {' | '.join(map(str, cells))} |")
    report.line()


def _times(report: Report, clock: Clock) -> None:
    for stage, seconds in clock.wall.items():
        report.line(f"  {stage:40} {seconds:6.0f} s, {clock.processors[stage]:6.0f} s of processors")
        report.measure(f"{stage}, s", seconds)
        report.measure(f"{stage}, processor s", clock.processors[stage])
    report.line(f"load when it ended: {os.getloadavg()[0]:.1f}")


def _claims(report: Report, found: dict[str, Scores], clock: Clock, *, judged: bool) -> None:
    for label, figures in found.items():
        report.measure(f"AUROC, {label}", figures.auroc.value)
        report.measure(f"F1, {label}", figures.f1.value)
        if judged and label != "untrained":
            report.claim(f"AUROC, {label}", figures.auroc.value, "", _AUROC, "more")
            report.claim(f"F1 over the best constant, lower end, {label}", figures.over_constant.low, "", 0.0, "more")
    report.measure("everything, minutes", sum(clock.wall.values()) / 60)
    if judged:
        minutes = sum(clock.processors.values()) / 60 / _CORES
        report.claim(f"everything, processor time over {_CORES} cores", minutes, "minutes", _MINUTES, "less")


if __name__ == "__main__":
    main()
