"""Marks: what a reviewer says of a trace, and the failure modes there are to say it with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from safety_reasoning.builders.opinion import mode_of
from safety_reasoning.builders.prompts import load_prompt, rubric_modes
from safety_reasoning.builders.regenerate import WORDS
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.review.sample import Stratum

OTHER = "other"
"""A fault that has no mode; the note says which."""

KEYS: Mapping[str, str] = {
    Drop.LABEL_LEAK: "l",
    Drop.CONTRADICTS_VERDICT: "v",
    "unfounded": "f",
    Drop.NO_REASONING: "a",
    Drop.OVERTHINKING: "o",
    Drop.REPETITION: "r",
    Drop.NEAR_DUPLICATE: "d",
    Drop.PROMPT_COPIED: "p",
    Drop.TEMPLATE_ECHO: "e",
    Drop.TEACHER_REFUSAL: "s",
    Drop.TRUNCATED: "t",
    Drop.TOO_LONG: "g",
    Drop.OVER_BUDGET: "b",
    Drop.VERDICT_LINE: "i",
    Drop.THINK_TAG: "k",
    Drop.BROKEN_MARKUP: "m",
    Drop.CONTROL_CHARACTERS: "h",
    Drop.WRONG_LANGUAGE: "w",
    OTHER: "x",
}
"""The modes in the order of the page, each with the key that marks it: a letter of its name, save `other`."""

_SAME: Mapping[str, str] = {Drop.EMPTY: Drop.NO_REASONING, Drop.NOT_UNICODE: Drop.CONTROL_CHARACTERS}
"""Reasons that a program tells apart and a reader does not."""


class Findings(StrEnum):
    """What a reviewer knew of the filters' and the judge's findings when marking a trace."""

    HIDDEN = "hidden"
    """Nothing, before or after."""
    LATER = "later"
    """Nothing before the mark was saved; they were shown then."""
    SEEN = "seen"
    """They had been shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One reviewer's judgement of one trace."""

    reviewer: str
    key: str
    """Of the reply that holds the trace."""
    sample_key: str
    modes: tuple[str, ...] | None
    """In the order of KEYS; () for a clean trace; None: an earlier mark is taken back."""
    note: str = ""
    marked_at: float
    """Unix time."""
    findings: Findings
    stratum: Stratum
    """As it was when the trace was drawn, and its sizes likewise."""
    size: int
    drawn: int


def mode_marked(reason: str) -> str:
    """The mode that a reviewer marks where a filter or the judge gives this reason."""
    mode = mode_of(reason)
    return str(_SAME.get(mode, mode))


def words(mode: str) -> str:
    """What is wrong, in the words that the teacher is told."""
    return "something else is wrong: say what in the note" if mode == OTHER else WORDS[mode]


def explained(mode: str) -> str:
    """Where the line is drawn, in the words that the judge is told; '' for modes that it is not asked about."""
    return load_prompt(f"rubric/{mode}").body if mode in rubric_modes() else ""


def standing(marks: Iterable[Mark]) -> list[Mark]:
    """The marks that count: the latest of each reviewer on each trace, unless it takes back the one before."""
    latest = {(mark.reviewer, mark.key): mark for mark in marks}
    return [mark for _, mark in sorted(latest.items()) if mark.modes is not None]
