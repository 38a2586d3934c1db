"""A few of the rows that differ, with what they differ in, cut to a line each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from safety_reasoning.builders.samples import Turn, content_safety_key, topic_control_key
from safety_reasoning.hub.rows import ROW, Table, collected, key_columns, known_types
from safety_reasoning.schemas.columns import Task

_CHARS = 80
"""Of a text that is shown."""
_BEFORE = 20
"""Of those, as many before the first difference."""
_COLUMNS = 3
"""Columns of a changed row that are shown."""
_CELL = "cell of "
Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange:
    """One value of a row before and after; texts are cut, to where they begin to differ."""

    column: str
    old: Value
    new: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSample:
    """One row that differs."""

    key: str
    """The interaction's, 32 hex digits; `left_out/` names rows by the same."""
    row: int
    """From 1: in the new side; of a removed row in the old one."""
    begins: str
    """The prompt, or the message, cut."""
    changes: tuple[CellChange, ...] = ()
    """Of a changed row, the first few."""


def samples_of(table: Table, positions: Sequence[int]) -> list[RowSample]:
    """The rows at these positions."""
    names = key_columns(table.task)
    return [_sample(table.task, row[ROW] + 1, row) for row in _rows(table, names, positions)]


def changed_samples(
    old: Table, new: Table, pairs: Sequence[tuple[int, int]], columns: Sequence[Sequence[str]]
) -> list[RowSample]:
    """The pairs of rows at these positions, each with the columns in which it differs."""
    wanted = list(dict.fromkeys(name for names in columns for name in names[:_COLUMNS]))
    before = {row[ROW]: row for row in _rows(old, wanted, [a for a, _ in pairs])}
    after = {row[ROW]: row for row in _rows(new, [*key_columns(new.task), *wanted], [b for _, b in pairs])}
    return [
        _sample(new.task, b + 1, after[b], tuple(_change(name, before[a], after[b]) for name in names[:_COLUMNS]))
        for (a, b), names in zip(pairs, columns, strict=True)
    ]


def _rows(table: Table, names: Sequence[str], positions: Sequence[int]) -> list[dict[str, Any]]:
    if not positions:
        return []
    known = {name: known_types(table.task)[name] for name in key_columns(table.task)}
    cells = [table.column(name, known.get(name)).alias(_CELL + name) for name in dict.fromkeys(names)]
    found = table.frame.select(cells).with_row_index(ROW).filter(pl.col(ROW).is_in(list(positions)))
    return collected(found).sort(ROW).to_dicts()


def _sample(task: Task, row: int, cells: Mapping[str, Any], changes: tuple[CellChange, ...] = ()) -> RowSample:
    if task is Task.CONTENT_SAFETY:
        sample_id, prompt, response = (cells[_CELL + name] for name in key_columns(task))
        key, text = content_safety_key(sample_id, prompt, response), prompt
    else:
        instruction, history, text = (cells[_CELL + name] for name in key_columns(task))
        turns = tuple(Turn(turn["role"], turn["content"]) for turn in history or [])
        key = topic_control_key(instruction, turns, text)
    return RowSample(key=key, row=row, begins=cut(text or ""), changes=changes)


def _change(column: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> CellChange:
    old, new = _shown(before[_CELL + column]), _shown(after[_CELL + column])
    if isinstance(old, str) and isinstance(new, str):
        same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        return CellChange(column=column, old=cut(old, same), new=cut(new, same))
    return CellChange(
        column=column,
        old=cut(old) if isinstance(old, str) else old,
        new=cut(new) if isinstance(new, str) else new,
    )


def _shown(value: object) -> Value:
    plain = isinstance(value, str | int | None) or (isinstance(value, float) and math.isfinite(value))
    return cast(Value, value) if plain else repr(value)  # JSON has neither NaN nor infinity


def cut(text: str, same: int = 0) -> str:
    """At most a line of a text, from a little before its character `same` on; what is left away is an ellipsis."""
    start = max(same - _BEFORE, 0) if len(text) > _CHARS else 0
    piece = text[start : start + _CHARS]
    return f"{'…' if start else ''}{piece}{'…' if start + _CHARS < len(text) else ''}"
