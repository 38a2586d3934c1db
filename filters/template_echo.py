"""A trace speaks of the sample, not of the instructions that asked for it."""

import tomllib
from functools import cache
from pathlib import Path

from safety_reasoning.filters.copies import copied_share
from safety_reasoning.filters.cues import cue
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import STEM_CHARS, Reading, inputs_reading, reading, template_reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_FILE = Path(__file__).parent / "patterns" / "template_echo.toml"


def template_echo(trace: Trace, limits: Limits) -> Drop | None:
    """TEMPLATE_ECHO if the trace repeats the prompt's fixed text, or is mostly about the task.

    What the sample holds too (a user who asks about classifiers) is a quotation of the sample.
    """
    read = reading(trace.text)
    found = (
        copied_share(read, template_reading(trace.template).gram_set) > limits.echoed_share
        or _repeats(read, trace)
        or _talks(read, trace, limits)
    )
    return Drop.TEMPLATE_ECHO if found else None


def _talks(read: Reading, trace: Trace, limits: Limits) -> bool:
    most = limits.task_talk_per_100_words * len(read.words) / 100
    needs = cue("template_echo", "talk").needs
    if sum([word[:STEM_CHARS] in needs for word in read.words]) <= most:
        return False  # a match has at least one of these words
    said = [found[0] for found in cue("template_echo", "talk").found(read)]
    known = set(filter(inputs_reading(trace.inputs).holds, set(said)))
    talk = [phrase for phrase in said if phrase not in known]
    return len(talk) > most and len(set(talk)) >= limits.min_task_talk


def _repeats(read: Reading, trace: Trace) -> bool:
    return any(words in read.flat and not inputs_reading(trace.inputs).holds(words) for words in _verbatim())


@cache
def _verbatim() -> tuple[str, ...]:
    return tuple(tomllib.loads(_FILE.read_text(encoding="utf-8"))["verbatim"]["words"])
