"""Characters that no teacher means to write."""

import regex

from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_UNMEANT = regex.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffd\ufffe\uffff\p{Co}\p{Cn}]"
)
"""C0 and C1 controls but for tab, line feed and carriage return; overrides of the writing direction; what stands for
undecodable bytes; private and unassigned code points."""
_HIDDEN = regex.compile(r"(?<=[A-Za-z])[\u00ad\u200b-\u200f\u2060\ufeff](?=[A-Za-z])")
"""Marks of no width where no script and no emoji needs one."""


def control_characters(trace: Trace, limits: Limits) -> Drop | None:
    """CONTROL_CHARACTERS if the trace holds characters that are no text."""
    if trace.text.replace("\n", " ").isprintable() and "\ufffd" not in trace.text:
        return None
    found = _UNMEANT.search(trace.text) or _HIDDEN.search(trace.text)
    return Drop.CONTROL_CHARACTERS if found else None
