"""Marks of a template or a formatter that came into the trace."""

import tomllib
from functools import cache
from pathlib import Path

import regex

from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_FILE = Path(__file__).parent / "patterns" / "markup.toml"


@cache
def _groups() -> "tuple[tuple[tuple[str, ...], regex.Pattern[str]], ...]":
    """(What every match has one of, the expression) of each group."""
    groups = tomllib.loads(_FILE.read_text(encoding="utf-8")).values()
    return tuple(
        (tuple(group["marks"]), regex.compile("|".join(f"(?:{phrase})" for phrase in group["phrases"])))
        for group in groups
    )


def broken_markup(trace: Trace, limits: Limits) -> Drop | None:
    """BROKEN_MARKUP if tokens, tags or an open code fence stand in the trace and not in what the teacher read."""
    if trace.text.count("```") % 2:
        return Drop.BROKEN_MARKUP
    text = reading(trace.text).flat
    for marks, pattern in _groups():
        if any(mark in text for mark in marks):
            for found in pattern.finditer(text):
                if not inputs_reading(trace.inputs).holds(found[0]):
                    return Drop.BROKEN_MARKUP
    return None
