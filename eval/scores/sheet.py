"""A task's rows as arrays. Pure."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.runs.rows import OK
from safety_reasoning.eval.scores.measure import Floats
from safety_reasoning.eval.scores.policy import Bools

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One entry a row in every array."""

    task: str
    item: Numbers
    """0, 1, … by key: rows of equal texts are one item, so that they are drawn together."""
    generation: Numbers
    """0, 1, … of those that occur."""
    gold: Bools
    parsed: Bools
    predicted: Bools
    """False where not parsed."""
    probability: Floats
    """NaN where the engine gives none."""
    refusal: Floats
    """1 or 0; NaN where the guard does not say."""
    unparsed: dict[str, int]
    """Rows without a verdict, by reason, sorted."""

    @property
    def items(self) -> int:
        """How many different items there are."""
        return int(self.item.max()) + 1 if len(self.item) else 0

    @property
    def generations(self) -> int:
        """How many generations there are."""
        return int(self.generation.max()) + 1 if len(self.generation) else 0

    @property
    def missing(self) -> int:
        """Rows that would be there if every generation had as many as the fullest."""
        counts = np.bincount(self.generation)
        return int(len(counts) * counts.max() - counts.sum()) if len(counts) else 0


def sheet_of(rows: pl.DataFrame) -> Sheet:
    """The arrays of one task's rows (columns of eval/runs/rows.py).

    Raises: ValueError if they are of several tasks; UsageError if they hold what no run writes.
    """
    _refuse_impossible(rows)
    rows = rows.sort("item", "generation", maintain_order=True)  # sums in one order give the same last digit
    tasks = rows["task"].unique().to_list()
    if len(tasks) > 1:
        raise ValueError(f"rows of {len(tasks)} tasks: score them one by one")
    known = rows["predicted"].is_not_null()
    faults = Counter(reason if reason and reason != OK else "no_verdict" for reason in rows.filter(~known)["parse"])
    return Sheet(
        task=tasks[0] if tasks else "",
        item=_codes(rows["item"]),
        generation=_codes(rows["generation"]),
        gold=rows["positive"].to_numpy(),
        parsed=known.to_numpy(),
        predicted=rows["predicted"].fill_null(False).to_numpy(),
        probability=_floats(rows["probability"]),
        refusal=_floats(rows["refusal"]),
        unparsed=dict(sorted(faults.items())),
    )


def _refuse_impossible(rows: pl.DataFrame) -> None:
    for name in ("task", "item", "generation", "positive"):
        if rows[name].null_count():
            raise UsageError(
                f"column {name!r} of the run's rows has nulls", why="no run writes them", fix="run it again"
            )
    known = rows["probability"].drop_nulls()
    if not ((known >= 0) & (known <= 1)).all():
        raise UsageError("column 'probability' of the run's rows leaves [0, 1]", fix="run it again")


def _codes(column: pl.Series) -> Numbers:
    return (column.rank("dense").cast(pl.Int64) - 1).to_numpy()


def _floats(column: pl.Series) -> Floats:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
