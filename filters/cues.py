"""Phrases that give a fault away, from the files in `patterns/`: read once, compiled once.

A file has one table a group of phrases:

- `needs`: words, compared by their first five letters. Where none stands in a sentence, the phrases are not tried
  there: looking for words is a hundred times as fast as trying an expression. Every match holds one of them.
- `also`: the same once more, for groups whose `needs` are common. Optional.
- `phrases`: expressions over a sentence in lower case with single spaces and straight quotes. Every repeat in them is
  bounded or possessive, so that any text is searched in time linear in its length.

A group with `words` and no phrases is for the filter that reads it: text to be found as it stands.
A comment above each group says what it catches and where that was seen.
"""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import regex

from safety_reasoning.filters.reading import STEM_CHARS, Reading

_FOLDER = Path(__file__).parent / "patterns"


@dataclass(frozen=True, slots=True)
class Cues:
    """One group."""

    name: str
    needs: frozenset[str]
    also: frozenset[str]
    pattern: "regex.Pattern[str]"

    def needed(self, stems: set[str]) -> bool:
        """Whether words of these stems have what a match has at least."""
        return not self.needs.isdisjoint(stems) and (not self.also or not self.also.isdisjoint(stems))

    def found(self, read: Reading) -> "Iterator[regex.Match[str]]":
        """Every match in the text's sentences, from left to right."""
        if self.needed(read.stems):
            for sentence in read.sentences:
                if self.needed(sentence.stems):
                    yield from self.pattern.finditer(sentence.text)

    def found_outside_quotations(self, read: Reading) -> "Iterator[regex.Match[str]]":
        """The same in what the writer says in a voice of its own."""
        if self.needed(read.stems):
            for sentence in read.sentences:
                if self.needed(sentence.stems):
                    yield from self.pattern.finditer(sentence.own)


@cache
def cues(name: str) -> tuple[Cues, ...]:
    """The groups of `patterns/{name}.toml`, in the file's order."""
    groups = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return tuple(
        Cues(
            name=group,
            needs=_stems(entry["needs"]),
            also=_stems(entry.get("also", ())),
            pattern=regex.compile("|".join(f"(?:{phrase})" for phrase in entry["phrases"])),
        )
        for group, entry in groups.items()
        if "phrases" in entry
    )


def _stems(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word[:STEM_CHARS] for word in words)


@cache
def words_of(name: str) -> frozenset[str]:
    """A list of `patterns/words.toml`."""
    return frozenset(tomllib.loads((_FOLDER / "words.toml").read_text(encoding="utf-8"))[name])


@cache
def stems_of(name: str) -> frozenset[str]:
    """The first five letters of the list's words."""
    return _stems(words_of(name))


@cache
def cue(name: str, group: str) -> Cues:
    """One group of a file."""
    return next(found for found in cues(name) if found.name == group)
