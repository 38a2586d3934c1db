"""Parts of a task: its rows by category, by domain or by length. Pure."""

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
import polars as pl

from safety_reasoning.eval.scores.measure import Score
from safety_reasoning.eval.scores.policy import Policy
from safety_reasoning.eval.scores.score import DRAWS, score_policies

UNNAMED = "(none named)"
"""The part of the rows without a category or domain."""
BINS = 4
_BETWEEN = "; "
"""Between the categories of one row (eval/benchmarks/rows.py)."""


class By(StrEnum):
    """What the rows of a task are parted by."""

    CATEGORY = "category"
    """A row of several categories is in the part of each."""
    DOMAIN = "domain"
    LENGTH = "length"
    """Characters of what is judged; quartiles of the task's items."""


def score_groups(rows: pl.DataFrame, by: By, *, draws: int = DRAWS, seed: int = 0) -> dict[str, dict[Policy, Score]]:
    """The scores of each part of one task, by the part's name; lengths from short to long."""
    return {name: score_policies(part, draws=draws, seed=seed) for name, part in parts(rows, by)}


def parts(rows: pl.DataFrame, by: By) -> Iterator[tuple[str, pl.DataFrame]]:
    """(name, rows) of each part that has any."""
    if by == By.LENGTH:
        yield from quantile_parts(rows, "chars", rows.unique("item")["chars"])
        return
    column = rows[by.value].fill_null(UNNAMED)
    if by == By.DOMAIN:
        for name in sorted(column.unique()):
            yield str(name), rows.filter(column == name)
        return
    names = column.str.split(_BETWEEN)
    for name in sorted({one for row in names.unique() for one in row}):
        yield name, rows.filter(names.list.contains(name))


def quantile_parts(
    rows: pl.DataFrame, column: str, values: pl.Series, bins: int = BINS
) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows cut at quantiles of `values`; fewer parts where quantiles fall together. A part's name has its ends.

    Rows whose column is null are in none.
    """
    known = values.drop_nulls()
    if not len(known):
        return
    inner = np.quantile(known.to_numpy(), np.linspace(0, 1, bins + 1)[1:-1], method="lower")
    low: float | None = None
    for high in [*sorted({float(one) for one in inner}), None]:
        here = pl.lit(True) if high is None else pl.col(column) <= high
        part = rows.filter(
            here & (pl.lit(True) if low is None else pl.col(column) > low) & pl.col(column).is_not_null()
        )
        low = high
        if len(part):
            first, last = part.select(pl.col(column).min().alias("a"), pl.col(column).max().alias("b")).row(0)
            yield f"{first}–{last}", part
