"""Two runs' rows side by side: the same item in the same generation. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

_COPY = "copy"
"""Which of several rows it is that have one key in a generation: items of equal texts."""
_KEYS = ["task", "item", "generation", "positive", _COPY]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """One task's rows that are in both runs, in the same order, and how many are in one alone."""

    task: str
    a: pl.DataFrame
    b: pl.DataFrame
    only_a: tuple[str, ...]
    """Rows of A alone, as KEY/GENERATION."""
    only_b: tuple[str, ...]


def pairs_of(a: pl.DataFrame, b: pl.DataFrame) -> Iterator[Pairs]:
    """Every task that is in either run, sorted."""
    a, b = _numbered(a), _numbered(b)
    for task in sorted({*a["task"].unique(), *b["task"].unique()}):
        first, second = a.filter(pl.col("task") == task), b.filter(pl.col("task") == task)
        both_a = first.join(second.select(_KEYS), on=_KEYS, how="semi").sort(_KEYS)
        both_b = second.join(first.select(_KEYS), on=_KEYS, how="semi").sort(_KEYS)
        yield Pairs(task=task, a=both_a, b=both_b, only_a=_without(first, both_b), only_b=_without(second, both_a))


def _without(rows: pl.DataFrame, others: pl.DataFrame) -> tuple[str, ...]:
    alone = rows.join(others.select(_KEYS), on=_KEYS, how="anti").sort(_KEYS)
    return tuple(f"{key}/{generation}" for key, generation in alone.select("item", "generation").iter_rows())


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    keys = ["task", "item", "generation", "positive"]
    return rows.with_columns(pl.int_range(pl.len()).over(keys).alias(_COPY))
