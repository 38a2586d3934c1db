"""Traces that cannot be stored or trained on as they are."""

from safety_reasoning.filters.reasons import Drop


def empty(trace: str) -> Drop | None:
    """EMPTY if nothing but white space is there."""
    return None if trace.strip() else Drop.EMPTY


def think_tag(trace: str) -> Drop | None:
    """THINK_TAG if the trace holds a tag of the reasoning's own frame."""
    return Drop.THINK_TAG if "<think>" in trace or "</think>" in trace else None


def not_unicode(trace: str) -> Drop | None:
    """NOT_UNICODE if the trace cannot be written as UTF-8."""
    try:
        trace.encode()
    except UnicodeEncodeError:
        return Drop.NOT_UNICODE
    return None
