"""How fast the filters of trace quality are, beside the repetition filters of datatrove, NeMo Curator and Data-Juicer.

    python benchmarks/filters.py                         # minutes, and an environment for each peer
    python benchmarks/filters.py --quick                 # a minute: fewer traces, peers only where they are installed
    python benchmarks/filters.py --environments FOLDER   # keeps the peers' environments between runs

Traces are put together of the golden set's to about 1.5 KB each, nine pieces in ten of fine ones, as a teacher's
traces mostly are; no two are equal. Ours judge all of them, the slower
peers a sample of the same, everyone on every core at the same time. A rate is what was judged by the processor time
that it took, which counts all threads and no other process. Claims are ratios of rates of one run, and the time that
all of ours take for a megabyte of the dearest texts. The last line of stdout is one JSON document.
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
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
_FAULTY_SHARE = 0.1
_LOOPS = ("a", "a. ", "1. a b c\n", "<", '"a', "```a\n", "и ", "the given verdict harmful ", "which is harmless, ")
"""Of what a megabyte is dearest to judge, as tests/test_quality_filters.py tries it."""
_LOOP_CHARS, _LOOP_GOAL_S = 1_000_000, 1.0
_CHUNK = 500
"""Traces that are made at once, outside of the time that is measured."""
_INSTALL_S = 1800
_RUN_S = 1800

_FRAME = """
import json, sys, time
texts = json.load(open(sys.argv[1], encoding="utf-8"))
{setup}
judge(texts[0])
started = time.process_time()
kept = sum(judge(text) for text in texts)
print(json.dumps({{"seconds": time.process_time() - started, "kept": kept}}))
"""
"""What a peer runs: `setup` defines `judge`, which says whether a text is kept."""


@dataclass(frozen=True)
class Peer:
    """Another library's repetition filters."""

    name: str
    packages: tuple[str, ...]
    without_dependencies: tuple[str, ...]
    """Installed first, with none of what they declare."""
    setup: str


_PEERS = (
    Peer(
        name="Gopher, datatrove 0.10.1",
        packages=("datatrove[processing]==0.10.1", "orjson", "regex", "spacy", "xxhash"),
        without_dependencies=(),
        setup="""
from datatrove.data import Document
from datatrove.pipeline.filters import GopherRepetitionFilter
gopher = GopherRepetitionFilter()
judge = lambda text: gopher.filter(Document(text=text, id="")) is True
""",
    ),
    Peer(
        name="NeMo Curator 1.4.0",
        packages=("attrs", "jsonschema", "loguru", "pandas", "psutil", "pyarrow", "ray==2.60.0", "regex", "tqdm"),
        without_dependencies=("nemo-curator==1.4.0", "cosmos-xenna==0.2.0"),  # which would be 6 GB, with torch
        setup="""
from nemo_curator.stages.text.filters.heuristic import repetition as r
filters = [r.RepeatedLinesFilter(), r.RepeatedParagraphsFilter(), r.RepeatedLinesByCharFilter(),
           r.RepeatedParagraphsByCharFilter(), *(r.RepeatingTopNGramsFilter(n=n) for n in (2, 3, 4)),
           *(r.RepeatingDuplicateNGramsFilter(n=n) for n in range(5, 11))]
judge = lambda text: all([f.keep_document(f.score_document(text)) for f in filters])
""",
    ),
    Peer(
        name="Data-Juicer 1.6.1",
        packages=("py-data-juicer==1.6.1", "aiohttp"),  # which it imports and does not declare
        without_dependencies=(),
        setup="""
from data_juicer.ops.filter.character_repetition_filter import CharacterRepetitionFilter
from data_juicer.ops.filter.word_repetition_filter import WordRepetitionFilter
from data_juicer.utils.constant import Fields
operators = [CharacterRepetitionFilter(), WordRepetitionFilter()]
def judge(text):
    batch = {"text": [text], Fields.stats: [{}]}
    for operator in operators:
        batch = operator.compute_stats_batched(batch)
    return all([next(iter(operator.process_batched(batch))) for operator in operators])
""",
    ),
)


def main() -> None:
    """Rates, claims, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer traces; peers only if they are installed already")
    parser.add_argument("--environments", type=Path, help="where the peers' environments are kept between runs")
    given = parser.parse_args()
    count, sample = (2_000, 200) if given.quick else (110_000, 4_000)
    made = [trace.text for trace in _traces(range(sample))]
    cores = len(os.sched_getaffinity(0))
    report = Report()
    report.line(f"{count} traces of {sum(map(len, made)) // sample} characters, peers {sample} of them")
    report.line(f"{cores} cores at once, load before {os.getloadavg()[0]:.1f}")
    report.claim("the slowest megabyte of one thing", max(map(_loop_s, _LOOPS)), "s", _LOOP_GOAL_S, "less")
    everything = _ours(report, "all filters", count, cores, quality)
    alone = _ours(report, "repetition alone", count, cores, repetition)
    with tempfile.TemporaryDirectory() as scratch:
        environments = (given.environments or Path(scratch, "environments")).resolve()
        rates = [_peer(report, peer, Path(scratch), environments, made, cores, given.quick) for peer in _PEERS]
    if rates[0]:
        report.claim("all filters / Gopher", everything / rates[0], "ratio", ALL_GOAL, "more")
        report.claim("repetition alone / Gopher", alone / rates[0], "ratio", REPETITION_GOAL, "more")
    report.line(f"load after {os.getloadavg()[0]:.1f}")
    report.end()


def _pieces() -> tuple[list[Trace], list[Trace]]:
    """The golden set's full traces: the fine ones, and the others."""
    rows = [row for row in golden(GOLDEN, Limits()) if row.trace.step == "full" and len(row.trace.text) > 100]
    if not rows:
        sys.exit(f"no batch-*/traces-*.jsonl in {GOLDEN}")
    return [row.trace for row in rows if not row.modes], [row.trace for row in rows if row.modes]


_FINE, _FAULTY = _pieces()


def _traces(numbers: Sequence[int]) -> list[Trace]:
    """Different traces of about `CHARS` characters, each made of the pieces that its number draws."""
    made: list[Trace] = []
    for number in numbers:
        chance = random.Random(number)  # noqa: S311  # not for secrets
        first = _piece(chance)
        text = first.text
        while len(text) < CHARS:
            text += "\n\n" + _piece(chance).text
        made.append(replace(first, text=f"{text[:CHARS].rpartition(' ')[0]} ({number})."))
    return made


def _piece(chance: random.Random) -> Trace:
    return chance.choice(_FAULTY if chance.random() < _FAULTY_SHARE else _FINE)


def _ours(report: Report, name: str, count: int, cores: int, judge: Callable[[Trace, Limits], object]) -> float:
    """Traces a second and core."""
    shares = [range(core, count, cores) for core in range(cores)]
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("fork")) as pool:
        seconds = list(pool.map(_seconds, shares, [judge] * cores))
    return _rate(report, name, [(len(share), spent) for share, spent in zip(shares, seconds, strict=True)])


def _seconds(numbers: Sequence[int], judge: Callable[[Trace, Limits], object]) -> float:
    """What it takes to judge these traces, once the phrases are compiled."""
    limits = Limits()
    for trace in _traces(numbers[:20]):
        judge(trace, limits)
    spent = 0.0
    for start in range(0, len(numbers), _CHUNK):
        traces = _traces(numbers[start : start + _CHUNK])
        started = time.process_time()
        for trace in traces:
            judge(trace, limits)
        spent += time.process_time() - started
    return spent


def _loop_s(unit: str) -> float:
    """Processor time of all filters on a megabyte of the unit."""
    looped = replace(_FINE[0], text=unit * (_LOOP_CHARS // len(unit)))
    started = time.process_time()
    quality(looped, Limits())
    return time.process_time() - started


def _peer(
    report: Report, peer: Peer, scratch: Path, environments: Path, texts: Sequence[str], cores: int, quick: bool
) -> float | None:
    """Texts a second and core; None if it cannot be installed or run, and why is said."""
    try:
        python = _environment(peer, environments, install=not quick)
        measured = _run(peer, python, scratch, texts, cores)
    except (RuntimeError, subprocess.SubprocessError) as error:
        report.line(f"  {peer.name:28} not measured: {str(error).strip().splitlines()[-1][:200]}")
        return None
    return _rate(report, peer.name, measured)


def _run(peer: Peer, python: Path, scratch: Path, texts: Sequence[str], cores: int) -> list[tuple[int, float]]:
    """(Texts, seconds) of each core. Raises RuntimeError or SubprocessError saying what failed."""
    running = []
    for core in range(cores):
        share = scratch / f"texts-{core}.json"
        share.write_text(json.dumps(texts[core::cores]), encoding="utf-8")
        command = [str(python), "-c", _FRAME.format(setup=peer.setup), str(share)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    measured = []
    for core, process in enumerate(running):
        out, err = process.communicate(timeout=_RUN_S)
        if process.returncode:
            raise RuntimeError(err)
        measured.append((len(texts[core::cores]), float(json.loads(out.strip().splitlines()[-1])["seconds"])))
    return measured


def _rate(report: Report, name: str, measured: Sequence[tuple[int, float]]) -> float:
    """Texts a second and core, reported."""
    rate = sum(texts / seconds for texts, seconds in measured) / len(measured)
    report.line(f"  {name:28} {rate:9.0f} traces/s a core {rate * len(measured):9.0f} traces/s")
    report.measure(f"traces/s a core, {name}", rate)
    return rate


def _environment(peer: Peer, environments: Path, *, install: bool) -> Path:
    """The peer's Python, installed if it is not there yet. Raises RuntimeError or SubprocessError if it cannot be."""
    home = environments / peer.name.split(",")[0].replace(" ", "-").lower()
    python = home / "bin" / "python"
    if (home / "installed").exists():
        return python
    if not install:
        raise RuntimeError("not installed: give --environments, or leave --quick out")
    subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True, timeout=_INSTALL_S)
    for packages in (["--no-deps", *peer.without_dependencies], list(peer.packages)):
        if packages == ["--no-deps"]:
            continue
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *packages]
        installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
        if installed.returncode:
            raise RuntimeError(f"pip install failed: {installed.stderr}")
    (home / "installed").touch()
    return python


if __name__ == "__main__":
    main()
