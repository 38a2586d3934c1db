"""P values of many tests at once. Pure.

Benjamini-Hochberg is scipy's. Holm is here: of the libraries that have it, the lightest brings pandas and 12 MB.
"""

from collections.abc import Sequence

import numpy as np

from safety_reasoning.eval.scores.libraries import scipy_stats


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down (1979): what is below alpha holds the chance of a single false finding below alpha."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(np.asarray(p_values)[order] * (count - np.arange(count)))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(one) for one in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg (1995): of what is below alpha, at most that share is expected to be false."""
    if not p_values:
        return []
    return [float(one) for one in scipy_stats().false_discovery_control(p_values, method="bh")]
