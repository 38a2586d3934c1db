"""JSON Lines as Parquet, so that a release without Parquet is compared like one with it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.builders.sources.files import line_rows
from safety_reasoning.schemas.columns import Task, teacher_of
from safety_reasoning.schemas.features import arrow_schema
from safety_reasoning.schemas.record import record_schema

_ROWS = 2000
"""Rows of a part; what is in memory at a time."""
Row = Mapping[str, Any]


@dataclass(slots=True)
class Parts:
    """What became of one file of JSON Lines."""

    files: list[Path] = field(default_factory=list)
    """Parquet, in the order of the lines; a part has the columns that its rows have."""
    unreadable: list[int] = field(default_factory=list)
    """Lines that are no JSON object, or hold a value that a column of its name cannot hold."""


def first_row(path: Path) -> Row:
    """The first line that is an object; {} if there is none."""
    if not path.stat().st_size:
        return {}
    return next((raw.value for raw in line_rows(path) if isinstance(raw.value, dict)), {})


def as_parquet(path: Path, task: Task, folder: Path) -> Parts:
    """Write the rows of a file to parts in the folder, each column with its schema's type.

    A column that no schema knows holds its values as JSON text.
    Raises: UsageError if the file is empty.
    """
    parts = Parts()
    rows = _objects(path, parts.unreadable)
    while batch := list(islice(rows, _ROWS)):
        part = folder / f"{path.stem}-{len(parts.files):05}.parquet"
        pq.write_table(_table(batch, task, parts.unreadable), part, compression="lz4", row_group_size=_ROWS)
        parts.files.append(part)
    parts.unreadable.sort()
    return parts


def _objects(path: Path, unreadable: list[int]) -> Iterator[tuple[int, Row]]:
    for raw in line_rows(path):
        if raw.bad is None and isinstance(raw.value, dict):
            yield raw.number, raw.value
        else:
            unreadable.append(raw.number)


def _table(batch: Sequence[tuple[int, Row]], task: Task, unreadable: list[int]) -> pa.Table:
    """The rows that fit, as a table; the lines of the others are noted."""
    names = list(dict.fromkeys(name for _, row in batch for name in row))
    types = {name: _type(name, task) for name in names}
    try:
        return _typed([row for _, row in batch], types)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        fitting = []
        for line, row in batch:
            try:
                _typed([row], types)
                fitting.append(row)
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                unreadable.append(line)
        return _typed(fitting, types)


def _type(column: str, task: Task) -> pa.DataType | None:
    """The column's type by the schema; None for one that no schema knows."""
    if (named := teacher_of(column)) is not None:
        return pa.bool_() if named[0] == "mismatch" else pa.string()
    known = arrow_schema(record_schema(task, []))
    return known.field(column).type if column in known.names else None


def _typed(rows: Sequence[Row], types: Mapping[str, pa.DataType | None]) -> pa.Table:
    """The rows under these types.

    Raises: an Arrow error, ValueError or TypeError if a value is not of its column's type, or would be changed by it.
    """
    arrays = {}
    for name, wanted in types.items():
        values = [_plain(row.get(name)) for row in rows]
        if wanted is None:
            values = [_text(value) for value in values]
        array = pa.array(values, wanted or pa.string())
        if array.to_pylist() != values:
            raise ValueError(f"a value of {name!r} does not fit its type")
        arrays[name] = array
    return pa.table(arrays)


def _plain(value: object) -> object:
    """NaN as null, which is what pandas made it from."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
