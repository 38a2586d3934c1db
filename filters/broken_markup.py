"""Marks of a template or a formatter that came into the trace."""

import tomllib
from functools import cache
from pathlib import Path

import regex

from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import Reading, inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_CODE = regex.compile(r"(?s:```.*?```)|`[^`\n]{1,200}+`")
_SIGNS = frozenset("<>[{\\&【")
_FILE = Path(__file__).parent / "patterns" / "markup.toml"


@cache
def _groups() -> "tuple[tuple[tuple[str, ...], regex.Pattern[str]], ...]":
    """(What every match has one of, the expression) of each group."""
    groups = tomllib.loads(_FILE.read_text(encoding="utf-8")).values()
    return tuple(
        (tuple(group["marks"]), regex.compile("|".join(f"(?:{phrase})" for phrase in group["phrases"])))
        for group in groups
    )


@cache
def _hints() -> tuple[str, ...]:
    """The rare signs that marks begin with, or the whole mark: few of them stand in prose."""
    return tuple({mark[0] if mark[0] in _SIGNS else mark for marks, _ in _groups() for mark in marks})


def broken_markup(trace: Trace, limits: Limits) -> Drop | None:
    """BROKEN_MARKUP if a fence is open, or tokens or tags stand in the trace outside of code and of what was read."""
    if "`" not in trace.text:
        text = reading(trace.text).flat
    elif _open_fence(trace.text):
        return Drop.BROKEN_MARKUP
    else:
        text = Reading(_CODE.sub(" ", trace.text)).flat
    if not any([hint in text for hint in _hints()]):
        return None
    for marks, pattern in _groups():
        if any([mark in text for mark in marks]):
            for found in pattern.finditer(text):
                if not inputs_reading(trace.inputs).holds(found[0]):
                    return Drop.BROKEN_MARKUP
    return None


def _open_fence(text: str) -> bool:
    """Whether a fence is never closed: only bare backticks close one."""
    if "```" not in text:
        return False
    is_open = False
    for line in text.splitlines():
        bare = line.strip()
        if line.count("```") % 2 and (not is_open or not bare.strip("`")):
            is_open = not is_open
    return is_open
