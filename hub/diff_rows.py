"""What lies between the rows of one task: counts, flips of labels and of mismatch flags, changes of traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from safety_reasoning.hub.rows import HASH, ROW, VALUE, Table, collected, common_types, fingerprints
from safety_reasoning.hub.rows_pairs import NEW, Pairs, pair, repeated
from safety_reasoning.hub.rows_samples import RowSample, changed_samples, samples_of
from safety_reasoning.schemas.columns import Task, teacher_of
from safety_reasoning.schemas.record import record_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """Rows in both sides of which a label, or a teacher's mismatch flag, became another."""

    column: str
    teacher: str | None
    """Whose flag it is; None for a label."""
    old: str | None
    new: str | None
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceChange:
    """What became of one teacher's traces of one kind."""

    teacher: str
    family: str
    """full or efficient."""
    before: int
    """Traces on the old side, over all its rows."""
    after: int
    """Traces on the new side, over all its rows."""
    added: int
    """Rows in both that had none and have one."""
    removed: int
    """Rows in both that had one and have none."""
    changed: int
    """Rows in both that have another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """What lies between the rows of one task; columns that one side lacks are not compared."""

    before: int
    after: int
    added: int = 0
    removed: int = 0
    changed: int = 0
    """Rows with the same key and another content."""
    columns: Mapping[str, int]
    """For every column that changed, in how many rows."""
    labels: tuple[Flip, ...] = ()
    mismatches: tuple[Flip, ...] = ()
    traces: tuple[TraceChange, ...] = ()
    """Of every teacher and kind that one side lacks, or of which rows of both sides differ."""
    repeated_before: int = 0
    """Rows of the old side whose key stands earlier in it."""
    repeated_after: int = 0
    added_samples: tuple[RowSample, ...] = ()
    removed_samples: tuple[RowSample, ...] = ()
    changed_samples: tuple[RowSample, ...] = ()

    @property
    def differ(self) -> bool:
        """Whether the rows are not the same."""
        return bool(self.added or self.removed or self.changed)


def compare_rows(old: Table | None, new: Table | None, samples: int, seeds: tuple[int, int]) -> RowChanges:
    """What lies between the rows of two tables, either of which may be missing.

    `seeds` are those of the hashes by which rows are compared.
    """
    if old is None or new is None:
        return _one_sided(old, new, samples)
    types = common_types(old, new)
    valued = _valued(old.task, types)
    was, now = (fingerprints(table, types, valued, seeds) for table in (old, new))
    pairs = pair(was, now)
    return RowChanges(
        before=was.height,
        after=now.height,
        added=len(pairs.added),
        removed=len(pairs.removed),
        changed=pairs.changed.height,
        columns=_by_column(pairs.changed, types),
        labels=tuple(flip for name in valued if teacher_of(name) is None for flip in _flips(pairs.changed, name)),
        mismatches=tuple(flip for name in valued if teacher_of(name) for flip in _flips(pairs.changed, name)),
        traces=tuple(_traces(_filled(old, was), _filled(new, now), pairs.changed, types)),
        repeated_before=repeated(was).height,
        repeated_after=repeated(now).height,
        added_samples=tuple(samples_of(new, pairs.added[:samples])),
        removed_samples=tuple(samples_of(old, pairs.removed[:samples])),
        changed_samples=tuple(_changed_samples(old, new, pairs, types, samples)),
    )


def _one_sided(old: Table | None, new: Table | None, samples: int) -> RowChanges:
    before, after = (0 if table is None else _height(table) for table in (old, new))
    return RowChanges(
        before=before,
        after=after,
        added=after,
        removed=before,
        columns={},
        added_samples=tuple(samples_of(new, range(min(samples, after)))) if new else (),
        removed_samples=tuple(samples_of(old, range(min(samples, before)))) if old else (),
    )


def _height(table: Table) -> int:
    return int(collected(table.frame.select(pl.len())).item())


def _valued(task: Task, types: Mapping[str, pl.DataType]) -> dict[str, Sequence[str]]:
    """The columns whose flips are counted, with the values that they may have: labels, and mismatch flags."""
    known = record_schema(task, [])["properties"]
    labels = {name: [text for text in of["enum"] if text] for name, of in known.items() if _is_label(name, of)}
    flags = {name: ["true", "false"] for name in types if (named := teacher_of(name)) and named[0] == "mismatch"}
    return {name: texts for name, texts in (labels | flags).items() if name in types}


def _is_label(name: str, of: Mapping[str, object]) -> bool:
    return "enum" in of and not name.endswith("_source")


def _differs(column: str, prefix: str = HASH) -> pl.Expr:
    """Whether it is another value in the new side, null being one."""
    return pl.col(prefix + column).ne_missing(pl.col(prefix + column + NEW))


def _by_column(changed: pl.DataFrame, types: Mapping[str, pl.DataType]) -> dict[str, int]:
    counts = changed.select(_differs(name).sum().alias(name) for name in types).row(0, named=True)
    return {name: int(count) for name, count in counts.items() if count}


def _flips(changed: pl.DataFrame, column: str) -> list[Flip]:
    """Flips of one column, the most frequent first."""
    before, after = VALUE + column, VALUE + column + NEW
    counted = changed.filter(_differs(column)).group_by(before, after).len()
    named = teacher_of(column)
    flips = [
        Flip(column=column, teacher=named[1] if named else None, old=old, new=new, rows=rows)
        for old, new, rows in counted.iter_rows()
    ]
    return sorted(flips, key=lambda flip: (-flip.rows, str(flip.old), str(flip.new)))


def _traces(
    before: Mapping[str, int], after: Mapping[str, int], changed: pl.DataFrame, types: Mapping[str, pl.DataType]
) -> list[TraceChange]:
    found = []
    for column in sorted(before.keys() | after.keys()):
        family, teacher = teacher_of(column) or ("", "")
        was, now = pl.col(HASH + column), pl.col(HASH + column + NEW)
        counts = (
            changed.select(
                added=(was.is_null() & now.is_not_null()).sum(),
                removed=(was.is_not_null() & now.is_null()).sum(),
                changed=(was != now).sum(),
            ).row(0)
            if column in types
            else (0, 0, 0)
        )
        added, removed, rewritten = map(int, counts)
        change = TraceChange(
            teacher=teacher,
            family=family,
            before=before.get(column, 0),
            after=after.get(column, 0),
            added=added,
            removed=removed,
            changed=rewritten,
        )
        if any(counts) or (column not in types and change.before != change.after):
            found.append(change)
    return sorted(found, key=lambda change: (change.teacher, change.family != "full"))


def _filled(table: Table, rows: pl.DataFrame) -> dict[str, int]:
    """How many traces each trace column of a table holds; `rows` are the fingerprints of its common columns."""
    names = [name for name in table.types if (named := teacher_of(name)) and named[0] != "mismatch"]
    common = {name: rows[HASH + name].count() for name in names if HASH + name in rows.columns}
    others = [table.column(name).count().alias(name) for name in names if name not in common]
    return common | (collected(table.frame.select(others)).row(0, named=True) if others else {})


def _changed_samples(
    old: Table, new: Table, pairs: Pairs, types: Mapping[str, pl.DataType], samples: int
) -> list[RowSample]:
    first = pairs.changed.head(samples)
    differing = first.select(_differs(name).alias(name) for name in types).to_dicts() if first.height else []
    columns = [[name for name, differs in row.items() if differs] for row in differing]
    positions = list(zip(first[ROW].to_list(), first[ROW + NEW].to_list(), strict=True))
    return changed_samples(old, new, positions, columns)
