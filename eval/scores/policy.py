"""Parse policies: what an answer without a verdict counts for. Pure.

On one evaluator's own outputs the same F1 is 80.6, 85.4 or 90.8 by this choice alone, so scores are always given
under all four, side by side.
"""

from enum import StrEnum

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


class Policy(StrEnum):
    """What a row counts for whose answer gives no verdict, or that has no answer."""

    WRONG = "wrong"
    """The verdict that the label contradicts."""
    DROP = "drop"
    """Nothing: it is left out of every number."""
    HARMFUL = "harmful"
    """A positive verdict: what cannot be read is blocked."""
    UNHARMFUL = "unharmful"
    """A negative verdict: what cannot be read passes."""


DEFAULT = Policy.WRONG


def apply_policy(policy: Policy, *, gold: Bools, predicted: Bools, parsed: Bools) -> tuple[Bools, Bools]:
    """(verdicts, counted): one verdict a row, and whether the row counts; `predicted` matters where `parsed`."""
    everything = np.ones_like(parsed)
    match policy:
        case Policy.WRONG:
            return np.where(parsed, predicted, ~gold), everything
        case Policy.DROP:
            return parsed & predicted, parsed
        case Policy.HARMFUL:
            return ~parsed | predicted, everything
        case Policy.UNHARMFUL:
            return parsed & predicted, everything
