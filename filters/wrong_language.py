"""Traces are in English, whatever the sample is in: the guard's prompt and policy are."""

import re
import tomllib
from functools import cache
from pathlib import Path

import regex

from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import Reading, inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_FILE = Path(__file__).parent / "patterns" / "languages.toml"
_MAYBE_OTHER = re.compile(
    "[\u0370-\u1dff\u2c80-\ua71f\ua800-\uab2f\uab70-\ufaff\ufb13-\ufe0e\uff66-\uffdc\U00010000-\U0001cfff]|"
    "[\U00020000-\U0003ffff]"
)
"""Blocks that hold the letters of other scripts, and few other characters."""
_OTHER_LETTERS = regex.compile(r"(?V1)[\p{L}--\p{Script=Latin}]")
_LETTERS = regex.compile(r"\p{L}")
_ALL_ENGLISH = 0.33
"""Share of English function words from which no quarter of a text is in another language."""
_LEAST = 3
"""Function words of a language that make a sentence one of it."""


@cache
def _languages() -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
    """(English function words, those of each other language that are not English ones)."""
    lists = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    english = frozenset(lists.pop("english"))
    return english, tuple(frozenset(words) - english for words in lists.values())


@cache
def _other_words() -> frozenset[str]:
    """Function words of any other language."""
    return frozenset[str]().union(*_languages()[1])


def wrong_language(trace: Trace, limits: Limits) -> Drop | None:
    """WRONG_LANGUAGE if much of the trace is in another script, or reads like another language.

    Letters of other scripts count beyond the share that the inputs have themselves, since a trace quotes them.
    """
    read = reading(trace.text)
    if not read.text.isascii() and _MAYBE_OTHER.search(read.text):
        share = _other_letters(read)
        if share > limits.foreign_letters and share > limits.foreign_letters + _other_letters(
            inputs_reading(trace.inputs)
        ):
            return Drop.WRONG_LANGUAGE
    words = len(read.words)
    english = sum(map(_languages()[0].__contains__, read.words))
    if english < limits.min_english * words and words >= limits.min_words_of_language:
        return Drop.WRONG_LANGUAGE
    if english > _ALL_ENGLISH * words:
        return None
    return Drop.WRONG_LANGUAGE if _foreign_share(read) > limits.foreign_words else None


def _other_letters(read: Reading) -> float:
    letters = len(_LETTERS.findall(read.text))
    return len(_OTHER_LETTERS.findall(read.text)) / letters if letters else 0.0


def _foreign_share(read: Reading) -> float:
    """Share of the words in sentences with more function words of one other language than of English."""
    english, others = _languages()
    foreign = 0
    for sentence in read.sentences:
        if sum(map(_other_words().__contains__, sentence.words)) < _LEAST:
            continue
        at_least = max(sum(map(english.__contains__, sentence.words)) + 1, _LEAST)
        if any(sum(map(other.__contains__, sentence.words)) >= at_least for other in others):
            foreign += len(sentence.words)
    return foreign / max(len(read.words), 1)
