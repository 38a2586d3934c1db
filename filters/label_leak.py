"""A trace must not speak of the gold label: the guard that learns from it has none."""

from safety_reasoning.filters.cues import needed_cues
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace


def label_leak(trace: Trace, limits: Limits) -> Drop | None:
    """LABEL_LEAK if the trace mentions a label that it was given; words of the sample itself are quotations.

    Source: paper, section 4.1, "explicit mention of ground-truth labels".
    """
    read = reading(trace.text)
    for group in needed_cues("label_leak", read):
        for found in group.found(read):
            sample = inputs_reading(trace.inputs)
            if not sample.holds(found[0]) and not any(map(sample.holds, group.unless)):
                return Drop.LABEL_LEAK
    return None
