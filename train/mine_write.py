"""The folder of what mining found.

mine.json            what it is of, its counts, the hash of every file; what says that a folder is one
report.txt           the counts for people
samples.parquet      every row with its generations, and how each of them ended
difficult.parquet    keys of difficult rows, as `[mixture.oversample]` reads them
always_wrong.parquet rows that the guard never got right, with what it was asked and what it said
mixture/             the mixture with its difficult rows more often; absent where nothing is difficult
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from safety_reasoning.files import sha256_of
from safety_reasoning.train.export import MESSAGES, write_parquet
from safety_reasoning.train.mine_facts import Facts
from safety_reasoning.train.mine_report import Report, in_words
from safety_reasoning.train.mine_rows import Asked
from safety_reasoning.train.mine_samples import Kind, Sample

MINED = "mine.json"
SAMPLES, DIFFICULT, ALWAYS_WRONG, MIXTURE = "samples.parquet", "difficult.parquet", "always_wrong.parquet", "mixture"
_LABELS = ("prompt_harm", "response_harm", "topic")
_GENERATION = pa.struct(
    [
        ("outcome", pa.string()),
        ("said", pa.string()),
        ("reasoning", pa.string()),
        ("answer", pa.string()),
        ("tokens", pa.int64()),
    ]
)
_ROW = [(name, pa.string()) for name in ("key", "task", "mode", *_LABELS)] + [("correct", pa.int32())]
_SAMPLES = pa.schema([*_ROW, ("kind", pa.string()), ("generations", pa.list_(_GENERATION))])
_DIFFICULT = pa.schema(_ROW)
_ALWAYS_WRONG = pa.schema(
    [
        *_ROW,
        ("unanimous", pa.string()),
        ("categories", pa.list_(pa.string())),
        ("teachers", pa.list_(pa.struct([("teacher", pa.string()), ("said", pa.string())]))),
        ("prompt", MESSAGES),
        ("generations", pa.list_(_GENERATION)),
    ]
)


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to write: the texts of all generations are in memory at no time."""

    rows: Sequence[Asked]
    read: Callable[[Iterable[Asked]], Iterator[Sample]]
    """The generations of some of the rows."""
    facts: Mapping[str, Facts]

    def counted(self) -> list[Sample]:
        """Every row without the texts."""
        return [sample.without_texts() for sample in self.read(self.rows)]


def write_samples(folder: Path, found: Found, counted: Sequence[Sample], keep: tuple[int, int]) -> None:
    """Write the three tables."""
    difficult = (sample for sample in counted if sample.kind(keep) is Kind.DIFFICULT)
    wrong = [sample.row for sample in counted if sample.kind(keep) is Kind.ALWAYS_WRONG]
    every = (_row(s) | {"kind": str(s.kind(keep)), "generations": _generations(s)} for s in found.read(found.rows))
    write_parquet(folder / SAMPLES, _SAMPLES, every)
    write_parquet(folder / DIFFICULT, _DIFFICULT, map(_row, difficult))
    aside = (_row(s) | _aside(s, found.facts.get(s.row.key)) for s in found.read(wrong))
    write_parquet(folder / ALWAYS_WRONG, _ALWAYS_WRONG, aside)


def write_report(folder: Path, stated: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Write report.txt and, last, mine.json with the hashes of all other files; what it states."""
    (folder / "report.txt").write_text(in_words(report), encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    whole = {**stated, "report": report, "files": files}
    (folder / MINED).write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return whole


def _row(sample: Sample) -> dict[str, Any]:
    labels = sample.row.labels
    row: dict[str, Any] = {"key": sample.row.key, "task": str(labels.task), "mode": sample.row.mode}
    return row | {name: getattr(labels, name) for name in _LABELS} | {"correct": sample.correct}


def _aside(sample: Sample, facts: Facts | None) -> dict[str, Any]:
    return {
        "unanimous": sample.unanimous,
        "categories": None if facts is None else list(facts.categories),
        "teachers": None if facts is None else [{"teacher": name, "said": said} for name, said in facts.teachers],
        "prompt": [{"role": turn.role, "content": turn.content} for turn in sample.row.turns],
        "generations": _generations(sample),
    }


def _generations(sample: Sample) -> list[dict[str, Any]]:
    return [
        {
            "outcome": str(one.judged.outcome),
            "said": one.judged.said or None,
            "reasoning": one.reasoning,
            "answer": one.answer,
            "tokens": one.tokens,
        }
        for one in sample.generations
    ]
