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
    r"|(?m:^)[^\w\n]{0,20}+(?:on-topic|off-topic)[^\w\n]{0,20}+(?m:$)"
)
_HARM, _REFUSAL = re.compile(r"harm[\W_]*:"), re.compile(r"refusal[\W_]*:")
"""What the first form holds."""


def verdict_line(trace: str) -> Drop | None:
    """VERDICT_LINE if the trace holds a verdict as an answer would give it."""
    folded = trace.lower() if trace.isascii() else trace.casefold()
    if "-topic" not in folded and not (_HARM.search(folded) or _REFUSAL.search(folded)):
        return None  # the expression is ten times as slow as these
    return Drop.VERDICT_LINE if _STATED.search(trace) else None
