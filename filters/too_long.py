"""A trace has a budget of words."""

from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace


def too_long(trace: Trace, limits: Limits) -> Drop | None:
    """TOO_LONG if the trace has more words than its step allows; a shortened one, than its sentences do.

    Source: paper, section 4.1, "excessive verbosity", and 5.3, budgets for shortened traces.
    """
    most = limits.max_words_full if trace.step == "full" else limits.max_words_efficient * trace.sentences
    return Drop.TOO_LONG if len(reading(trace.text).words) > most else None
