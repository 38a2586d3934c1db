"""How fast the filters of trace quality are, beside datatrove's GopherRepetitionFilter on the same traces.

    python benchmarks/filters.py                         # a few minutes, and an environment for datatrove
    python benchmarks/filters.py --quick                 # seconds: fewer traces, datatrove only where it is installed
    python benchmarks/filters.py --environments FOLDER   # keeps datatrove's environment between runs

Traces are made of the golden set's, put together to about 1.5 KB each; no two are equal. Every core runs its share
at the same time, so the rates are those of a busy machine. The last line of stdout is one JSON document.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from engine.measure import Report
from golden_filters import GOLDEN, golden

from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.quality import quality
from safety_reasoning.filters.repetition import repetition
from safety_reasoning.filters.trace import Trace

CHARS = 1500
ALL_GOAL, REPETITION_GOAL = 5.0, 20.0
"""Times the rate of Gopher's repetition filter."""
_ROUNDS = 3
_INSTALL_S = 1800
_PACKAGES = ("datatrove[processing]==0.10.1", "orjson", "regex", "spacy", "xxhash")
"""What it imports for English, declared by it or not."""
_GOPHER = """
import json, sys, time
from datatrove.data import Document
from datatrove.pipeline.filters import GopherRepetitionFilter
texts = json.load(open(sys.argv[1], encoding="utf-8"))
documents = [Document(text=text, id=str(number)) for number, text in enumerate(texts)]
gopher = GopherRepetitionFilter()
gopher.filter(documents[0])
rounds = []
for _ in range(int(sys.argv[2])):
    started = time.monotonic()
    kept = sum(gopher.filter(document) is True for document in documents)
    rounds.append(time.monotonic() - started)
print(json.dumps({"seconds": min(rounds), "kept": kept}))
"""


def main() -> None:
    """Rates, claims, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer traces; datatrove only if it is installed already")
    parser.add_argument("--environments", type=Path, help="where datatrove's environment is kept between runs")
    given = parser.parse_args()
    count, gopher_count = (400, 100) if given.quick else (4000, 400)
    traces = _traces(count)
    cores = len(os.sched_getaffinity(0))
    report = Report()
    report.line(f"{count} traces of {sum(len(t.text) for t in traces) // count} characters, {cores} cores at once")
    everything = _ours(report, "all filters", traces, cores, quality)
    alone = _ours(report, "repetition alone", traces, cores, repetition)
    with tempfile.TemporaryDirectory() as scratch:
        environments = (given.environments or Path(scratch, "environments")).resolve()
        try:
            gopher = _gopher(Path(scratch), environments, traces[:gopher_count], cores, install=not given.quick)
        except (RuntimeError, subprocess.SubprocessError) as error:
            report.line(f"  Gopher not measured: {str(error).strip().splitlines()[-1][:200]}")
        else:
            report.line(f"  {'Gopher, datatrove 0.10.1':28} {gopher:9.0f} traces/s a core")
            report.measure("traces/s a core, Gopher", gopher)
            report.claim("all filters / Gopher", everything / gopher, "ratio", ALL_GOAL, "more")
            report.claim("repetition alone / Gopher", alone / gopher, "ratio", REPETITION_GOAL, "more")
    report.end()


def _traces(count: int) -> list[Trace]:
    """Different traces of about `CHARS` characters, made of the golden set's full ones."""
    full = [row.trace for row in golden(GOLDEN, Limits()) if row.trace.step == "full" and len(row.trace.text) > 100]
    if not full:
        sys.exit(f"no traces-*.jsonl in {GOLDEN}")
    pieces = cycle(full)
    made: list[Trace] = []
    while len(made) < count:
        first = next(pieces)
        text = first.text
        while len(text) < CHARS:
            text += "\n\n" + next(pieces).text
        text = text[:CHARS].rpartition(" ")[0]
        made.append(replace(first, text=f"{text} ({len(made)})."))
    return made


def _ours(
    report: Report, name: str, traces: Sequence[Trace], cores: int, judge: Callable[[Trace, Limits], object]
) -> float:
    """Traces a second and core."""
    shares = [traces[core::cores] for core in range(cores)]
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("fork")) as pool:
        seconds = list(pool.map(_seconds, shares, [judge] * cores))
    rate = sum(len(share) / spent for share, spent in zip(shares, seconds, strict=True)) / cores
    report.line(f"  {name:28} {rate:9.0f} traces/s a core {rate * cores:9.0f} traces/s")
    report.measure(f"traces/s a core, {name}", rate)
    return rate


def _seconds(traces: Sequence[Trace], judge: Callable[[Trace, Limits], object]) -> float:
    """The fastest of some rounds; the first one compiles the phrases."""
    limits = Limits()
    spent = []
    for _ in range(_ROUNDS):
        started = time.monotonic()
        for trace in traces:
            judge(trace, limits)
        spent.append(time.monotonic() - started)
    return min(spent)


def _gopher(folder: Path, environments: Path, traces: Sequence[Trace], cores: int, *, install: bool) -> float:
    """Traces a second and core of datatrove's filter, on every core at the same time.

    Raises: RuntimeError or SubprocessError saying what failed.
    """
    python = _environment(environments / "gopher", install=install)
    running = []
    for core in range(cores):
        texts = folder / f"texts-{core}.json"
        texts.write_text(json.dumps([trace.text for trace in islice(traces, core, None, cores)]), encoding="utf-8")
        command = [str(python), "-c", _GOPHER, str(texts), str(_ROUNDS)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    rates = []
    for core, process in enumerate(running):
        out, err = process.communicate(timeout=_INSTALL_S)
        if process.returncode:
            raise RuntimeError(err)
        rates.append(len(range(core, len(traces), cores)) / float(json.loads(out.strip().splitlines()[-1])["seconds"]))
    return sum(rates) / cores


def _environment(home: Path, *, install: bool) -> Path:
    """The peer's Python, installed if it is not there yet."""
    python = home / "bin" / "python"
    if (home / "installed").exists():
        return python
    if not install:
        raise RuntimeError("datatrove is not installed: give --environments, or leave --quick out")
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True, timeout=_INSTALL_S)
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *_PACKAGES]
    installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    if installed.returncode:
        raise RuntimeError(f"pip install failed: {installed.stderr}")
    (home / "installed").touch()
    return python


if __name__ == "__main__":
    main()
