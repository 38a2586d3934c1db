"""A text taken apart once, for every filter that looks at its words, sentences or lines."""

import re
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import NamedTuple

GRAM = 5
"""Words of the n-grams that repetition, copies and echoes are found by: fewer recur in any prose, more miss loops."""
STEM_CHARS = 5
"""Beginning of a word that stands for its forms ("control", "controlling")."""
stem = itemgetter(slice(STEM_CHARS))
"""A word's beginning."""
_LONG_WORD_CHARS = 7

Gram = int
"""The hash of `GRAM` words in a row: computed once, and compared at once, where a tuple is hashed at every look-up."""

_WORDS = re.compile(r"\w+")
_NO_WORD = {code: " " for code in range(128) if chr(code) != "\n" and not _WORDS.match(chr(code))}
"""For ASCII, the same words as `_WORDS`, in a third of the time."""
_ODD_SPACE = re.compile(r"  |[\t\r\x0b\x0c\x1c-\x1f]")
_OTHERS = re.compile(r"[^\w\n]+")
_TYPOGRAPHY = {
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d\u201e", '"'),
    **dict.fromkeys("\u2013\u2014", "-"),
    "\u2026": "...",
}
_STOPS = {
    "e.g. ": "e.g., ",
    "i.e. ": "i.e., ",
    " vs. ": " vs., ",
    "etc. ": "etc., ",
    **{f"{stop}{close} ": f"{stop}{close}\n" for stop in ".?!" for close in ("", '"', ")")},
    ".' ": ".'\n",
    ".** ": ".**\n",
}
"""What ends a sentence, and four abbreviations that do not; replaced one by one, faster than an expression."""


class Sentence(NamedTuple):
    """One sentence, in lower case."""

    text: str
    own: str
    """What of it does not stand in quotation marks: what the writer says in a voice of its own."""
    words: list[str]
    stems: set[str]
    """The first five letters of its words."""


class Reading:
    """The parts of one text. Each is made when it is first asked for, in time linear in the text's length."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._places: dict[str, list[int]] | None = None

    @cached_property
    def lower(self) -> str:
        """The text in lower case, with straight quotes and apostrophes, and hyphens for dashes."""
        lower = self.text.lower()
        if not lower.isascii():
            for printed, typed in _TYPOGRAPHY.items():
                lower = lower.replace(printed, typed)
        return lower

    @cached_property
    def lines(self) -> list[str]:
        """Lines of `lower` that hold more than white space, with one space for any."""
        if self.lower.isascii() and not _ODD_SPACE.search(self.lower):
            return [flat for line in self.lower.split("\n") if (flat := line.strip(" "))]
        return [flat for line in self.lower.splitlines() if (flat := " ".join(line.split()))]

    @cached_property
    def flat(self) -> str:
        """`lower` with one space where there was white space of any kind, so that patterns need not allow for it."""
        return " ".join(self.lines)

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Sentences of one word and more; a line ends one, as do a full stop, a question or an exclamation mark."""
        text = "\n".join(self.lines)
        for stop, cut in _STOPS.items():
            text = text.replace(stop, cut)
        sentences = text.split("\n")
        own = _unquoted(text).split("\n") if '"' in text else sentences
        known: dict[tuple[str, str], Sentence | None] = {}  # equal sentences are one: a loop is read once
        found = []
        for key, spaced in zip(zip(sentences, own, strict=True), _spaced(text).split("\n"), strict=True):
            if key not in known:
                words = spaced.split()
                known[key] = Sentence(*key, words, set(map(stem, words))) if words else None
            found.append(known[key])
        return [sentence for sentence in found if sentence is not None]

    @cached_property
    def stems(self) -> set[str]:
        """The first five letters of all words."""
        return set().union(*[sentence.stems for sentence in self.sentences])

    def places(self, stems: frozenset[str]) -> dict[str, list[int]]:
        """The positions of the sentences that hold each of the stems; made once, for the stems of the first call."""
        if self._places is None:
            self._places = {}
            for position, sentence in enumerate(self.sentences):
                for found in stems & sentence.stems:
                    self._places.setdefault(found, []).append(position)
        return self._places

    @cached_property
    def words(self) -> list[str]:
        """Words in lower case, without punctuation."""
        if "sentences" in self.__dict__:
            return [word for sentence in self.sentences for word in sentence.words]
        return _spaced(self.lower).split()

    @cached_property
    def grams(self) -> list[Gram]:
        """Every `GRAM` words in a row, in order; none for a text of fewer words."""
        words = self.words
        return list(map(hash, zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)))

    @cached_property
    def gram_set(self) -> set[Gram]:
        """The different ones of `grams`."""
        return set(self.grams)

    def holds(self, phrase: str) -> bool:
        """Whether the text has the phrase, or a form of it where it is one long word ("annotators", "annotation")."""
        if phrase in self.flat:
            return True
        beginning = phrase[:_LONG_WORD_CHARS]
        return (
            beginning.isalpha() and len(beginning) == _LONG_WORD_CHARS and " " not in phrase and beginning in self.flat
        )


def _unquoted(text: str) -> str:
    """The text without what stands between quotation marks; a line with an odd number of them stays as it is."""
    if text.count('"') % 2:
        return "\n".join([line if line.count('"') % 2 else _unquoted(line) for line in text.split("\n")])
    pieces = text.split('"')
    pieces[1::2] = ["\n" * piece.count("\n") for piece in pieces[1::2]]
    return '"'.join(pieces)


def _spaced(text: str) -> str:
    """The text with spaces for what belongs to no word; line breaks stay."""
    return text.translate(_NO_WORD) if text.isascii() else _OTHERS.sub(" ", text)


@lru_cache(maxsize=4)
def reading(text: str) -> Reading:
    """The reading of a trace; filters that run one after another on the same trace share it."""
    return Reading(text)


@lru_cache(maxsize=4)
def inputs_reading(inputs: tuple[str, ...]) -> Reading:
    """The reading of what the teacher read of a sample, which several teachers' traces share."""
    return Reading("\n\n".join(inputs))


@lru_cache(maxsize=16)
def template_reading(template: str) -> Reading:
    """The reading of a prompt template, which thousands of traces share."""
    return Reading(template)
