"""A trace reasons about the sample; it does not repeat it."""

from safety_reasoning.filters.copies import copied_share
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace


def prompt_copied(trace: Trace, limits: Limits) -> Drop | None:
    """PROMPT_COPIED if verbatim quotations of what the teacher read make up too much of the trace."""
    share = copied_share(reading(trace.text), inputs_reading(trace.inputs).gram_set)
    return Drop.PROMPT_COPIED if share > limits.copied_share else None
