"""Reading answers: what the guards' formats have in common. Linear in the length of the text, and never a guess.

Only text after the last `</think>` counts, a verdict is a whole line or a whole value, and two verdicts that differ
are a fault. A value that is a list of choices quotes the format and is no verdict.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import regex

from safety_reasoning.builders.verdicts import END_THINK, THINK, Fault

Words = Mapping[str, bool | None]
"""What a guard may say, in lower case: True positive, False negative, None neither (`n/a`)."""

_EDGES = " \t\r*_\"'`#>.\u2022"
"""Markup and quotation marks around a value."""
_LABEL_EDGES = _EDGES + "-"
"""A label may be in a list; a value with a hyphen before it may be a negative number."""
_LABEL_CHARS = 60
_ANY_CASE = regex.IGNORECASE | regex.ASCII
"""Of ASCII letters: else the long s of `un\u017fafe` is an s, as it is for casefold."""
_WORD = regex.compile(r"\s*+(?P<word>[a-z]++|\d)(?![\w])", _ANY_CASE)
_CHOICE = regex.compile(r"[\s\"'*]{0,4}+(?:/|or\b|\|)[\s\"'*]{0,4}+(?P<word>[a-z]++|\d)", _ANY_CASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A verdict that was read."""

    positive: bool
    at: int | None = None
    """Where in the text the word begins that decides; None: not known, so no token can be asked for it."""
    refusal: bool | None = None


def after_reasoning(text: str) -> str | Fault:
    """The text after the last `</think>`; a fault where reasoning begins and does not end."""
    answer = text.rpartition(END_THINK)[2]
    return Fault.OPEN_THINK if THINK in answer else answer


def one_word(text: str, words: Words) -> Said | Fault:
    """The verdict of an answer that is one word on a line of its own, and nothing else."""
    found: dict[bool | None, int] = {}
    strange, start = False, 0
    for line in text.split("\n"):
        word = line.strip(_EDGES).lower() if len(line) <= _LABEL_CHARS else line
        if word in words:
            found.setdefault(words[word], start + _indent(line))
        elif word.strip():
            strange = True
        start += len(line) + 1
    if len(found) > 1:
        return Fault.TWO_VERDICTS
    if strange or not found:
        return Fault.NO_VERDICT
    return said_at(*found.popitem())


def first_word(text: str, words: Words) -> Said | Fault:
    """The verdict of an answer that begins with it and may go on to explain it.

    `Yes or No` quotes the question; a later line that is the other verdict alone contradicts the first.
    """
    found = _WORD.match(text)
    word = found["word"].lower() if found else ""
    if found is None or word not in words:
        return Fault.NO_VERDICT
    choice = _CHOICE.match(text, found.end())
    if choice is not None and choice["word"].lower() in words:
        return Fault.NO_VERDICT
    lines = (line.strip(_EDGES).lower() for line in text[found.end() :].split("\n") if len(line) <= _LABEL_CHARS)
    if any(line in words and words[line] != words[word] for line in lines):
        return Fault.TWO_VERDICTS
    return said_at(words[word], found.start("word"))


def labelled(text: str, fields: Mapping[str, Words]) -> dict[str, tuple[str, int]] | Fault:
    """The values of lines `label: value`, with the place of each: {label: (value in lower case, place)}.

    Labels and words are given in lower case. Other lines are left alone; a value that is none of the label's words
    is no verdict, and two different ones are two.
    """
    values: dict[str, tuple[str, int]] = {}
    start = 0
    for line in text.split("\n"):
        label, colon, rest = line.partition(":")
        name = label.strip(_LABEL_EDGES).lower() if len(label) <= _LABEL_CHARS else ""
        if colon and name in fields:
            value = rest.strip(_EDGES).lower() if len(rest) <= _LABEL_CHARS else ""
            if value not in fields[name]:
                return Fault.NO_VERDICT
            before, _ = values.setdefault(name, (value, start + len(label) + 1 + _indent(rest)))
            if before != value:
                return Fault.TWO_VERDICTS
        start += len(line) + 1
    return values


def said_at(positive: bool | None, at: int | None, refusal: bool | None = None) -> Said | Fault:
    """The verdict, unless the guard says that it has none."""
    return Fault.NO_VERDICT if positive is None else Said(positive=positive, at=at, refusal=refusal)


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(_EDGES))
