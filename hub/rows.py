"""The rows of one task on one side, under the card's column names whatever the files call them.

Rows are compared by fingerprints, so that the memory of a comparison is that of a few numbers a row: two hashes
of its key, and one hash of every column.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from safety_reasoning.errors import UsageError
from safety_reasoning.schemas.columns import Task, families, teacher_of
from safety_reasoning.schemas.features import polars_schema
from safety_reasoning.schemas.record import record_schema
from safety_reasoning.schemas.rules import interaction

ROW, KEY = "row", ("key", "key again")
"""Columns of a fingerprint; those of the data are prefixed, so that no name of theirs can be one of these."""
HASH, VALUE = "hash of ", "value of "


def key_columns(task: Task) -> list[str]:
    """The columns that identify a record."""
    names = record_schema(task, [])["properties"]
    return [str(name) for name in interaction({name: name for name in names}, task)]


def known_types(task: Task) -> pl.Schema:
    """The types of the columns that every record of the task has."""
    return polars_schema(record_schema(task, []))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of one task."""

    task: Task
    frame: pl.LazyFrame
    """As the files have them."""
    spellings: Mapping[str, tuple[str, ...]]
    """For every column under the card's name, what the files call it: several where it stands there twice."""
    types: Mapping[str, pl.DataType]
    """For every column under the card's name."""

    def column(self, name: str, wanted: pl.DataType | None = None) -> pl.Expr:
        """A column under the card's name, under another type if one is given.

        Of several spellings the last that is not null counts, as for the reader of published releases.
        """
        found = pl.coalesce(*reversed(self.spellings[name]))
        if wanted is None or wanted == self.types[name]:
            return found
        if self.types[name].is_float():
            found = found.fill_nan(None)
        return found.cast(wanted, strict=False)


def open_table(files: Sequence[Path], task: Task) -> Table:
    """The rows of Parquet files, one after the other; a column that a file lacks is null there.

    Raises: UsageError if a file cannot be read, or two give a column types that do not go together.
    """
    try:
        frame = pl.concat([pl.scan_parquet(file, glob=False) for file in files], how="diagonal_relaxed")
        schema = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"{files[0].parent} cannot be read", why=str(error).splitlines()[0]) from error
    spellings: dict[str, tuple[str, ...]] = {}
    for name in schema.names():
        canonical = card_name(name, task)
        spellings[canonical] = (*spellings.get(canonical, ()), name)
    types = {canonical: schema[names[-1]] for canonical, names in spellings.items()}
    _check_key(types, task, files[0])
    return Table(task=task, frame=frame, spellings=spellings, types=types)


def _check_key(types: Mapping[str, pl.DataType], task: Task, file: Path) -> None:
    """Raise UsageError if the columns that identify a row are not there, or hold something else."""
    known = known_types(task)
    for name in key_columns(task):
        if name not in types or types[name].is_nested() != known[name].is_nested():
            raise UsageError(
                f"{file} has no column {name} of type {known[name]}",
                why=f"rows of {task} are told apart by {', '.join(key_columns(task))}",
            )


def card_name(column: str, task: Task) -> str:
    """The card's name of a teacher column in any spelling; another column keeps its own."""
    if (named := teacher_of(column)) is None:
        return column
    family, teacher = named
    names = families(task)
    return {"full": names.full, "efficient": names.efficient, "mismatch": names.mismatch}[family] + teacher


def common_types(old: Table, new: Table) -> Mapping[str, pl.DataType]:
    """The columns of both sides that can be compared, with the type under which they are.

    That is their own where it is the same, the schema's where it is not; a column that no schema knows is not
    compared under two types.
    """
    known = known_types(old.task)
    common = {}
    for name in (name for name in old.types if name in new.types):
        if old.types[name] == new.types[name]:
            common[name] = old.types[name]
        elif name in known:
            common[name] = known[name]
        elif (named := teacher_of(name)) is not None:
            common[name] = pl.Boolean() if named[0] == "mismatch" else pl.String()
    return common


def fingerprints(
    table: Table, types: Mapping[str, pl.DataType], valued: Mapping[str, Iterable[str]], seeds: tuple[int, int]
) -> pl.DataFrame:
    """A row of numbers for every row: its position, its key, and a hash of each column, null where that is null.

    Columns of `valued` stand beside their hash as text, if it is one of the texts given: they have few, and any
    other may be long.
    Raises: UsageError if the files break off while they are read.
    """
    key = pl.struct(
        [table.column(name, types.get(name)).alias(str(n)) for n, name in enumerate(key_columns(table.task))]
    )
    columns = [key.hash(seed).alias(name) for name, seed in zip(KEY, seeds, strict=True)]
    for name, wanted in types.items():
        column = table.column(name, wanted)
        columns.append(pl.when(column.is_not_null()).then(column.hash(seeds[0])).alias(HASH + name))
    for name, texts in valued.items():
        column = table.column(name, types[name]).cast(pl.String, strict=False)
        other = pl.when(column.is_not_null()).then(pl.lit("another value"))
        columns.append(pl.when(column.is_in(list(texts))).then(column).otherwise(other).alias(VALUE + name))
    return collected(table.frame.select(columns).with_row_index(ROW))


def collected(frame: pl.LazyFrame) -> pl.DataFrame:
    """The rows of a lazy frame, read piece by piece.

    Raises: UsageError if its files cannot be read to their end.
    """
    try:
        return frame.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(
            "the files cannot be compared", why=str(error).splitlines()[0], fix="build or fetch them again"
        ) from error
