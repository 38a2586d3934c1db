"""The filters in force, in the order in which a single reason is reported."""

from collections.abc import Callable

from safety_reasoning.filters.markup import empty, not_unicode, think_tag
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.verdict_line import verdict_line

Filter = Callable[[str], Drop | None]

FILTERS: tuple[Filter, ...] = (empty, not_unicode, think_tag, verdict_line)


def reasons(trace: str) -> tuple[Drop, ...]:
    """Every reason not to release the trace, in the order of `FILTERS`; () if there is none."""
    return tuple(reason for check in FILTERS if (reason := check(trace)) is not None)
