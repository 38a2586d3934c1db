"""A trace should not circle: hesitation is counted, its mere presence is no fault."""

from safety_reasoning.filters.cues import needed_cues
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace


def overthinking(trace: Trace, limits: Limits) -> Drop | None:
    """OVERTHINKING if hesitation marks are many, and many for the trace's length.

    Source: paper, section 4.1, "excessive verbosity or overthinking", and 5.3, "digressions and hesitations".
    """
    read = reading(trace.text)
    marks = sum(1 for group in needed_cues("overthinking", read) for _ in group.found_outside_quotations(read))
    if marks < limits.min_hesitations:
        return None
    density = 100 * marks / max(len(read.words), 1)
    return Drop.OVERTHINKING if density > limits.hesitations_per_100_words else None
