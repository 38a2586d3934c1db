"""Read a task: its file, held against the declaration before any model is asked."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks import check
from safety_reasoning.eval.benchmarks.check import Counts
from safety_reasoning.eval.benchmarks.declaration import Declaration, Preset, load_declaration, preset_of
from safety_reasoning.eval.benchmarks.dialogues import take_dialogue
from safety_reasoning.eval.benchmarks.formats import read_rows
from safety_reasoning.eval.benchmarks.item import Item
from safety_reasoning.eval.benchmarks.place import Place, find
from safety_reasoning.eval.benchmarks.rows import Taken, take_row
from safety_reasoning.eval.benchmarks.rules import in_words
from safety_reasoning.eval.benchmarks.task import Task, Unused
from safety_reasoning.files import sha256_of

CountsRule = Literal["declared", "as they are"]
"""declared: a file with other counts than declared is refused. as they are: it is read, and the difference stated."""
_SHOWN = 20
"""Columns that an error names, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to be read."""

    name: str
    declared: Declaration
    preset_name: str
    preset: Preset
    place: Place


@dataclass(slots=True)
class _Read:
    """What the rows of a file gave."""

    file_rows: int = 0
    items: list[Item] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    columns: set[str] = field(default_factory=set)
    first_bad: str = ""
    """The first row that cannot be read, with what is wrong with it."""

    @property
    def counts(self) -> Counts:
        positives = sum(item.positive for item in self.items)
        return Counts(file_rows=self.file_rows, rows=len(self.items), positives=positives)


def load_task(
    name: str,
    *,
    place: Path | str | None = None,
    preset: str | None = None,
    counts: CountsRule = "declared",
) -> Task:
    """The labelled items of a task, from a local file or folder in the upstream format, or from the Hub.

    Raises: UsageError if there is no such task or preset, if the file cannot be had or lacks a column, if it has other
        counts than declared (unless `counts` says to take them as they are), or if none of its rows is an item.
    """
    declared = load_declaration(name)
    preset_name, chosen = preset_of(name, declared, preset)
    found = find(name, declared.source, place)
    asked = _Asked(name=name, declared=declared, preset_name=preset_name, preset=chosen, place=found)
    read = _read(asked)
    _refuse_other_file(asked, read)
    if counts == "declared":
        _refuse_other_counts(asked, read)
    items, repeated = distinct(read.items)
    read.left_out += repeated
    if not items:
        raise _no_items(asked, read)
    return Task(name=name, items=items, stated=_stated(asked, read, items), left_out=read.left_out)


def distinct(items: Iterable[Item]) -> tuple[tuple[Item, ...], Counter[str]]:
    """The items without repeated texts, and how many rows that leaves out.

    The first of equal texts stays. Where their labels differ, none does: no verdict on them could be right.
    """
    first: dict[str, Item] = {}
    torn: set[str] = set()
    rows: Counter[str] = Counter()
    for item in items:
        rows[item.key] += 1
        if first.setdefault(item.key, item).positive != item.positive:
            torn.add(item.key)
    left_out = Counter[str]()
    left_out[Unused.CONTRADICTORY_LABELS] = sum(rows[key] for key in torn)
    left_out[Unused.DUPLICATE] = sum(count - 1 for key, count in rows.items() if key not in torn)
    return tuple(item for key, item in first.items() if key not in torn), +left_out


def _read(asked: _Asked) -> _Read:
    take = take_dialogue if asked.declared.label.rule == "dialogue" else take_row
    read = _Read()
    for raw in read_rows(asked.place.path, nested=asked.declared.source.nested):
        read.file_rows += 1
        if isinstance(raw.value, dict):
            read.columns.update(raw.value)
        taken = (
            take(asked.name, raw.value, asked.declared, asked.preset)
            if raw.bad is None
            else Taken(left_out=(raw.bad.reason,), bad=raw.bad)
        )
        read.items += taken.items
        read.left_out.update(taken.left_out)
        if taken.bad is not None and not read.first_bad:
            read.first_bad = f"row {raw.number}: {taken.bad}"
    return read


def _refuse_other_file(asked: _Asked, read: _Read) -> None:
    if not read.columns:
        raise _no_items(asked, read)
    lacking = check.lacking(asked.declared, asked.preset, read.columns)
    if lacking:
        shown = ", ".join(ascii(column[:60]) for column in sorted(read.columns)[:_SHOWN])
        raise UsageError(
            f"{asked.place.path} is no file of {asked.name}: it lacks the column {', '.join(lacking)}",
            why=f"its columns are: {shown}",
            fix="fetch the file again at the declared revision, or give the one that belongs to this benchmark",
        )


def _refuse_other_counts(asked: _Asked, read: _Read) -> None:
    differ = check.differences(check.expected(asked.declared, asked.preset), read.counts)
    if differ:
        raise UsageError(
            f"{asked.place.path} has other counts than {asked.name} declares for its preset {asked.preset_name}",
            why="; ".join(differ) + _told(read),
            fix='get the declared revision, or take it as it is: --as-they-are, in a recipe counts = "as they are"',
        )


def _no_items(asked: _Asked, read: _Read) -> UsageError:
    return UsageError(
        f"{asked.place.path} gives no item of {asked.name}",
        why=f"no row can be used{_told(read)}" if read.file_rows else "the file holds no rows",
        fix="give the file that belongs to this benchmark",
    )


def _told(read: _Read) -> str:
    told = ", ".join(f"{rows} × {reason}" for reason, rows in sorted(read.left_out.items()))
    first = f"; the first that cannot be read: {read.first_bad}" if read.first_bad else ""
    return f" (left out: {told}{first})" if told else ""


def _stated(asked: _Asked, read: _Read, items: tuple[Item, ...]) -> Mapping[str, Any]:
    declared, wanted = asked.declared, check.expected(asked.declared, asked.preset)
    policy = None if declared.policy is None else hashlib.sha256(declared.policy.text.encode()).hexdigest()
    return {
        "name": asked.name,
        "title": declared.title,
        "subject": declared.subject.value,
        "positive_class": declared.positive_class,
        "preset": asked.preset_name,
        "label_rule": f"{in_words(declared.label)}; {asked.preset.means}",
        "policy_sha256": policy,
        "licence": declared.licence,
        "citation": declared.citation,
        "source": asked.place.said,
        "revision": asked.place.revision,
        "sha256": sha256_of(asked.place.path),
        "rows": len(items),
        "positives": sum(item.positive for item in items),
        "counted": asdict(read.counts),
        "expected": asdict(wanted),
        "differences": check.differences(wanted, read.counts),
        "no_breakdown_by": check.without_breakdown(declared, read.columns),
        "left_out": dict(sorted(read.left_out.items())),
    }
