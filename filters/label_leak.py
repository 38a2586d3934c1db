"""A trace must not speak of the gold label: the guard that learns from it has none."""

from safety_reasoning.filters.cues import cues
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace


def label_leak(trace: Trace, limits: Limits) -> Drop | None:
    """LABEL_LEAK if the trace mentions a label that it was given; words of the sample itself are quotations.

    Source: paper, section 4.1, "explicit mention of ground-truth labels".
    """
    read = reading(trace.text)
    for group in cues("label_leak"):
        for found in group.found(read):
            if not inputs_reading(trace.inputs).holds(found[0]):
                return Drop.LABEL_LEAK
    return None
