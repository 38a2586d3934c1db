"""What is measured, and what a measured number is: a value with its spread, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from safety_reasoning.eval.scores.policy import Policy

CONFIDENCE = 0.95
"""Of every interval."""
Floats = npt.NDArray[np.float64]


class Metric(StrEnum):
    """The measures of a score, all in [0, 1]; docs/scores.md has the formulas.

    The positive class is harmful, or off-topic.
    """

    F1 = "f1"
    PRECISION = "precision"
    RECALL = "recall"
    FPR = "fpr"
    """Share of the negative rows that are called positive; on a task of benign rows, the over-refusal."""
    FNR = "fnr"
    ACCURACY = "accuracy"
    AUROC = "auroc"
    AUPRC = "auprc"
    """Average precision."""
    ECE = "ece"
    """Expected calibration error, ten bins of equal width."""
    BRIER = "brier"
    REFUSAL_RATE = "refusal_rate"
    """Share of the rows whose response the guard calls a refusal, of those of which it says so or not."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle 95% of the bootstrap's draws."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number."""

    value: float | None
    """Mean over the generations; None where it is undefined, in one generation or in all."""
    why: str = ""
    """Why there is no value; '' where there is one."""
    std: float | None = None
    """Over the generations (n - 1); None with fewer than two. It says nothing of the choice of rows."""
    interval: Interval | None = None
    """Over rows: items are drawn again with all of their generations. None without a value, with fewer than two items
    or without draws."""
    by_generation: tuple[float | None, ...] = ()
    undefined_draws: int = 0
    """Draws in which it is undefined; they are not in the interval."""
    draws: Floats | None = field(default=None, repr=False, compare=False)
    """Its value in each draw, NaN where undefined; averages are made of these."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        interval = None if self.interval is None else [_plain(self.interval.low), _plain(self.interval.high)]
        said: dict[str, Any] = {"value": _plain(self.value), "std": _plain(self.std), "interval": interval}
        said["by_generation"] = [_plain(one) for one in self.by_generation]
        if self.why:
            said["why"] = self.why
        if self.undefined_draws:
            said["undefined_draws"] = self.undefined_draws
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One task, or a part of one, under one parse policy."""

    policy: Policy
    rows: int
    """Answers: items times generations, where none is missing."""
    items: int
    generations: int
    positives: int
    """Rows whose gold label is positive."""
    unparsed: Mapping[str, int]
    """Rows without a verdict, by reason (column `parse`)."""
    missing: int
    """Rows that a whole run would have besides: an item was not answered as often as the others."""
    with_probability: int
    """Rows with a probability: AUROC, AUPRC, calibration error and Brier score are of these alone, under every policy
    alike."""
    measures: Mapping[Metric, Measure]

    @property
    def f1(self) -> Measure:
        """That of the positive class."""
        return self.measures[Metric.F1]

    @property
    def over_refusal(self) -> Measure:
        """The share of the benign rows that the guard blocks."""
        return self.measures[Metric.FPR]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "policy": self.policy.value,
            "rows": self.rows,
            "items": self.items,
            "generations": self.generations,
            "positives": self.positives,
            "unparsed": dict(self.unparsed),
            "missing": self.missing,
            "with_probability": self.with_probability,
            "measures": {metric.value: measure.as_json() for metric, measure in self.measures.items()},
        }


def _plain(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
