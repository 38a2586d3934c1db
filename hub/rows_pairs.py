"""Which row of one side is which of the other, by the key of its interaction.

Rows that are equal in every common column are paired first. What is left is paired in its order within a key, so
that only a key that stands several times on one side, which no release of ours has, is ever ambiguous.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from safety_reasoning.hub.rows import HASH, KEY, ROW

_TURN = "turn"
"""Which one of several like it a row is."""
NEW = " in new"
"""What the columns of the new side end with in a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The fingerprints of two sides, brought together."""

    equal: int
    """Rows with the same key and the same content."""
    changed: pl.DataFrame
    """One row a pair with the same key and another content, in the order of the old side."""
    removed: Sequence[int]
    """Positions in the old side, ascending."""
    added: Sequence[int]
    """Positions in the new side, ascending."""


def pair(old: pl.DataFrame, new: pl.DataFrame) -> Pairs:
    """Bring together the rows of two sides."""
    content = [*KEY, *(name for name in old.columns if name.startswith(HASH))]
    olds, news = _numbered(old, content), _numbered(new, content)
    on = [*content, _TURN]
    equal = olds.join(news, on=on, how="semi", nulls_equal=True).height
    left = _numbered(olds.join(news, on=on, how="anti", nulls_equal=True), KEY)
    right = _numbered(news.join(olds, on=on, how="anti", nulls_equal=True), KEY)
    both = [*KEY, _TURN]
    return Pairs(
        equal=equal,
        changed=left.join(right, on=both, how="inner", suffix=NEW).sort(ROW),
        removed=left.join(right, on=both, how="anti")[ROW].sort().to_list(),
        added=right.join(left, on=both, how="anti")[ROW].sort().to_list(),
    )


def _numbered(rows: pl.DataFrame, like: Sequence[str]) -> pl.DataFrame:
    """The rows, each with its place among those that are alike, in the order of their positions."""
    return rows.sort(ROW).with_columns(pl.int_range(pl.len()).over(like).alias(_TURN))


def repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows whose key stands earlier on the same side: what a release of ours has none of."""
    return _numbered(rows, KEY).filter(pl.col(_TURN) > 0)
