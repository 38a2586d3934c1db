"""Phrases that give a fault away, from the files in `patterns/`: read once, compiled once.

A file has one table a group of phrases:

- `needs`: words, compared by their first five letters. Where none stands in a sentence, the phrases are not tried
  there: looking for words is a hundred times as fast as trying an expression. Every match holds one of them.
- `also`: the same once more, for groups whose `needs` are common. Optional.
- `unless`: what the sample may speak of, so that the phrases say nothing. Optional; for the filter that looks there.
- `phrases`: expressions over a sentence in lower case with single spaces and straight quotes. Every repeat in them is
  bounded or possessive, so that any text is searched in time linear in its length.

A group with `words` and no phrases is for the filter that reads it (`lists`): text to be found as it stands.
A comment above each group says what it catches and where that was seen.
"""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import regex

from safety_reasoning.filters.reading import STEM_CHARS, Reading

_FILES = ("label_leak", "overthinking", "teacher_refusal", "template_echo", "verdict")
_FOLDER = Path(__file__).parent / "patterns"


@dataclass(frozen=True, slots=True)
class Cues:
    """One group."""

    name: str
    needs: frozenset[str]
    also: frozenset[str]
    pattern: "regex.Pattern[str]"
    unless: tuple[str, ...]

    def needed(self, stems: set[str]) -> bool:
        """Whether words of these stems have what a match has at least."""
        return not self.needs.isdisjoint(stems) and (not self.also or not self.also.isdisjoint(stems))

    def found(self, read: Reading) -> "Iterator[regex.Match[str]]":
        """Every match in the text's sentences, from left to right."""
        for position in self.positions(read):
            yield from self.pattern.finditer(read.sentences[position].text)

    def found_outside_quotations(self, read: Reading) -> "Iterator[regex.Match[str]]":
        """The same in what the writer says in a voice of its own."""
        for position in self.positions(read):
            yield from self.pattern.finditer(read.sentences[position].own)

    def positions(self, read: Reading) -> list[int]:
        """Where the sentences stand that have what a match has at least, from first to last."""
        found, also = positions(read, self.needs), self.also
        return [n for n in found if not also.isdisjoint(read.sentences[n].stems)] if also else found


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
            unless=tuple(entry.get("unless", ())),
        )
        for group, entry in groups.items()
        if "phrases" in entry
    )


def _stems(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word[:STEM_CHARS] for word in words)


def positions(read: Reading, needs: frozenset[str]) -> list[int]:
    """Where sentences stand that hold any of a group's needs, from first to last."""
    places = read.places(all_needs())
    found = [places[stem] for stem in needs & read.stems]
    return found[0] if len(found) == 1 else sorted(set().union(*found))


@cache
def all_needs() -> frozenset[str]:
    """What any group of any file needs."""
    return frozenset[str]().union(*(group.needs for name in _FILES for group in cues(name)))


def needed_cues(name: str, read: Reading) -> list[Cues]:
    """The groups of the file that may match in the text."""
    stems = read.stems
    return [
        group
        for group in cues(name)
        if not group.needs.isdisjoint(stems) and (not group.also or not group.also.isdisjoint(stems))
    ]


@cache
def lists(name: str, group: str) -> dict[str, tuple[str, ...]]:
    """A group of `patterns/{name}.toml` that holds words and no phrases."""
    entry = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))[group]
    return {key: tuple(words) for key, words in entry.items()}


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
