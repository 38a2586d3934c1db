"""The filters of trace quality on the golden set: precision and recall of each, on both parts.

Thresholds and phrases were chosen on the part called chosen; the claims are about the fresh one. Which row is in
which part follows from its file and its number: tests/golden/README.md.

    python benchmarks/golden_filters.py                  # tables and claims
    python benchmarks/golden_filters.py --wrong chosen   # and which traces of a part are judged wrongly

The last line of stdout is one JSON document.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.measure import Report

from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.quality import quality
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace
from safety_reasoning.schemas.columns import Task

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
PRECISION, RECALL = 0.95, 0.90
Part = Literal["chosen", "fresh"]
PARTS: tuple[Part, ...] = ("chosen", "fresh")
_ALL = frozenset(path.stem.removeprefix("traces-") for path in GOLDEN.glob("batch-*/traces-*.jsonl"))
_LOOKED_AT = {
    "batch-2": _ALL - {"broken_markup", "overthinking", "prompt_copied", "too_long"},
    "batch-3": _ALL - {"broken_markup", "verdict_line"},
    "batch-4": _ALL,
    "batch-5": _ALL - {"teacher_refusal", "wrong_language"},
}
"""Modes of a batch whose rows were fresh once, until a filter was changed for what it did on them."""

_MODE_OF: Mapping[Drop, str] = {
    Drop.NO_REASONING: Drop.EMPTY,
    Drop.CONTROL_CHARACTERS: Drop.BROKEN_MARKUP,
    Drop.THINK_TAG: Drop.BROKEN_MARKUP,
    Drop.NOT_UNICODE: Drop.BROKEN_MARKUP,
}
"""The golden set has one mode for everything that is broken in the writing, and one for all that say nothing."""
_TEMPLATES = {Task.CONTENT_SAFETY: "generate_aegis", Task.TOPIC_CONTROL: "generate_topic"}


@dataclass(frozen=True, slots=True)
class Row:
    """One judged trace."""

    name: str
    part: Part
    trace: Trace
    modes: frozenset[str]
    """What is wrong with it, by the people who wrote it."""
    found: frozenset[str]
    """What the filters say."""


@dataclass(frozen=True, slots=True)
class Score:
    """One filter on one part."""

    hits: int
    misses: int
    false_alarms: int

    @property
    def precision(self) -> float:
        """Of what it refuses, the share that is at fault; 1 where it refuses nothing."""
        refused = self.hits + self.false_alarms
        return self.hits / refused if refused else 1.0

    @property
    def recall(self) -> float:
        """Of what is at fault, the share that it refuses; 1 where nothing is."""
        faulty = self.hits + self.misses
        return self.hits / faulty if faulty else 1.0


def golden(folder: Path, limits: Limits) -> Iterator[Row]:
    """Every trace of the golden set, judged."""
    for path in sorted(folder.glob("batch-*/traces-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            task = Task(row["task"])
            template = load_prompt("efficient" if row["step"] == "efficient" else _TEMPLATES[task])
            trace = Trace(
                text=row["trace"],
                answer=row["answer"],
                task=task,
                step=row["step"],
                inputs=tuple(text for text in (row["prompt"], row["response"]) if text is not None),
                template="\n".join(template.pieces[::2]),
            )
            found = frozenset(_MODE_OF.get(reason, str(reason)) for reason in quality(trace, limits))
            yield Row(row["id"], part_of(path, row["id"]), trace, frozenset(row["modes"]), found)


def part_of(path: Path, name: str) -> Part:
    """The first batch is all chosen, of the second every third row, of later ones none."""
    batch, mode, number = path.parent.name, path.stem.removeprefix("traces-"), int(name.rpartition("-")[2])
    third = batch == "batch-2" and number % 3 == 0
    return "chosen" if batch == "batch-1" or third or mode in _LOOKED_AT.get(batch, ()) else "fresh"


def score(rows: list[Row], mode: str) -> Score:
    """What one filter does on the rows."""
    return Score(
        hits=sum(mode in row.modes and mode in row.found for row in rows),
        misses=sum(mode in row.modes and mode not in row.found for row in rows),
        false_alarms=sum(mode not in row.modes and mode in row.found for row in rows),
    )


def main() -> None:
    """A table for each part, the claims, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", type=Path, default=GOLDEN, help="the folder with batch-*/traces-*.jsonl")
    parser.add_argument("--wrong", choices=PARTS, help="show which traces of this part are judged wrongly")
    given = parser.parse_args()
    rows = list(golden(given.golden, Limits()))
    if not rows:
        sys.exit(f"no batch-*/traces-*.jsonl in {given.golden}")
    report = Report()
    modes = sorted({mode for row in rows for mode in row.modes})
    for part in PARTS:
        of_part = [row for row in rows if row.part == part]
        _table(report, part, of_part, modes)
        if given.wrong == part:
            _wrong(report, of_part)
    report.line()
    for mode in modes:
        found = score([row for row in rows if row.part == "fresh"], mode)
        if found.hits + found.misses:
            report.claim(f"precision of {mode}", found.precision, "share", PRECISION, "more")
            report.claim(f"recall of {mode}", found.recall, "share", RECALL, "more")
    report.end()


def _table(report: Report, part: Part, rows: list[Row], modes: list[str]) -> None:
    faulty = [row for row in rows if row.modes]
    fine = [row for row in rows if not row.modes]
    report.line(f"\n{part} part: {len(faulty)} faulty and {len(fine)} fine traces")
    report.line(
        f"  {'filter':22} {'faulty':>7} {'hits':>5} {'misses':>7} {'alarms':>7} {'precision':>10} {'recall':>7}"
    )
    for mode in modes:
        s = score(rows, mode)
        counts = f"{s.hits + s.misses:7} {s.hits:5} {s.misses:7} {s.false_alarms:7}"
        report.line(f"  {mode:22} {counts} {s.precision:10.3f} {s.recall:7.3f}")
    whole = Score(
        hits=sum(len(row.modes & row.found) for row in rows),
        misses=sum(len(row.modes - row.found) for row in rows),
        false_alarms=sum(len(row.found - row.modes) for row in rows),
    )
    counts = f"{whole.hits + whole.misses:7} {whole.hits:5} {whole.misses:7} {whole.false_alarms:7}"
    report.line(f"  {'all':22} {counts} {whole.precision:10.3f} {whole.recall:7.3f}")
    report.measure(f"{part}: precision, all filters", whole.precision)
    report.measure(f"{part}: recall, all filters", whole.recall)
    kept = sum(not row.found for row in fine)
    refused = sum(bool(row.found) for row in faulty)
    report.line(f"  fine traces kept: {kept} of {len(fine)}; faulty ones refused: {refused} of {len(faulty)}")
    report.measure(f"{part}: fine traces kept", kept / max(len(fine), 1))
    report.measure(f"{part}: faulty traces refused", refused / max(len(faulty), 1))


def _wrong(report: Report, rows: list[Row]) -> None:
    for row in rows:
        if row.modes != row.found:
            missed, alarmed = sorted(row.modes - row.found), sorted(row.found - row.modes)
            report.line(f"  {row.name}: missed {missed}, false alarms {alarmed}")


if __name__ == "__main__":
    main()
