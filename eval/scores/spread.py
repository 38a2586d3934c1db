"""The spread of a number: over generations, and over the bootstrap's draws. Pure."""

from collections.abc import Sequence

import numpy as np

from safety_reasoning.eval.scores.measure import CONFIDENCE, Floats, Interval


def std_of(values: Sequence[float | None]) -> float | None:
    """Standard deviation (n - 1); None with fewer than two values or where one is undefined."""
    known = [value for value in values if value is not None]
    return float(np.std(known, ddof=1)) if len(known) == len(values) > 1 else None


def interval_of(draws: Floats | None) -> tuple[Interval | None, int]:
    """The middle 95% of the draws in which the number is defined, and how many it is not defined in."""
    if draws is None or not len(draws):
        return None, 0
    defined = draws[~np.isnan(draws)]
    undefined = len(draws) - len(defined)
    if not len(defined):
        return None, undefined
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high)), undefined
