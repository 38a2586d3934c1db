"""A trace must not state a verdict in the answer's format.

NeMo Guardrails reads such a line in a trace that was cut before its end as the verdict itself, and lets the
message through. A whole line is not needed for that: the words and the colon are, whatever white space or
punctuation stands between them and the value, line breaks included.
"""

import re

import regex

from safety_reasoning.filters.reasons import Drop

_STATED = regex.compile(
    r"(?i)(?:prompt|response)[^\S\n]{1,4}+(?:harm|refusal)(?:[^\w:]|_)*+:(?:\W|_)*+"
    r"(?:unharmful|harmful|refusal|compliance)(?![^\W_])"
)
_TOPIC_LINE = regex.compile(r"(?i)[^\w\n]{0,20}+(?:on|off)-topic[^\w\n]{0,20}+")
_TOPIC_LINE_CHARS = 49
"""Of the longest such line: the others, which are most, are not looked at."""
_HARM, _REFUSAL = re.compile(r"harm[\W_]*:"), re.compile(r"refusal[\W_]*:")
"""What `_STATED` holds: it is ten times as slow as these."""


def verdict_line(trace: str) -> Drop | None:
    """VERDICT_LINE if the trace holds a verdict as an answer would give it."""
    folded = trace.lower() if trace.isascii() else trace.casefold()
    if (_HARM.search(folded) or _REFUSAL.search(folded)) and _STATED.search(trace):
        return Drop.VERDICT_LINE
    lines = trace.split("\n") if "-topic" in folded else []
    stated = any(_TOPIC_LINE.fullmatch(line) for line in lines if len(line) <= _TOPIC_LINE_CHARS)
    return Drop.VERDICT_LINE if stated else None
