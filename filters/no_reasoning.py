"""A trace that says nothing."""

from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace


def no_reasoning(trace: Trace, limits: Limits) -> Drop | None:
    """NO_REASONING if there are fewer words than a reason takes; a script without spaces counts by its letters."""
    words = reading(trace.text).words
    letters = 0 if trace.text.isascii() else sum(map(len, words))
    return Drop.NO_REASONING if len(words) < limits.min_words and letters < 2 * limits.min_words else None
