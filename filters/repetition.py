"""Loops and copies inside a trace.

Passages of eight words and more are counted, not the shorter n-grams of Gopher's thresholds for web pages (Rae et al.,
2021): reasoning names the same categories and parties in every step. A short loop is looked for by itself.
"""

import re
from collections import Counter
from operator import eq

from safety_reasoning.filters.copies import words_in_runs
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import Gram, Reading, inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_LOOPED_WORDS = 8
"""Words of the longest piece whose loop is looked for; longer ones are sentences, which are counted."""
_PERIODS = range(1, _LOOPED_WORDS + 1)
_SENTENCE_WORDS = 5
"""Words of the shortest sentence that is counted: as many as the n-grams have, so none recurs where no n-gram does."""
_MARKER = re.compile(r"(?:[-*•]|\(?\d{1,3}[.):])\s+")
_THIRD = ("\n3.", "\n3)", "\n(3)", "\n3:")
"""A third item: equal ones of five words and more repeat their n-grams whatever their numbers are."""
_ITEM_WORDS = 3
"""Words of the shortest item that is counted, and of the shortest sentence that may not stand twice as often."""
_RULES = frozenset("-_=*~#+─. ")
"""Characters that are drawn in rows on purpose."""
_RULE_CHARS = 100
"""Even of those, no more than this in a row."""
_WORD_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789"
_FEW_CHARS = 4
"""A longer word is made of more different characters than this, unless it is a loop ("hahaha")."""


def repetition(trace: Trace, limits: Limits) -> Drop | None:
    """REPETITION if words, sentences, lines or characters are caught in a loop, or much is copied from before.

    Source: paper, section 4.1, "repetitive phrasing" and "n-gram repetition detection".
    """
    read = reading(trace.text)
    copies = len(read.grams) > len(read.gram_set)
    said = copies and (_words(read, trace, limits) or _sentences(read, limits))
    listed = copies or any([marker in read.lower for marker in _THIRD])
    found = said or (listed and _items(read, limits)) or _characters(read, limits)
    return Drop.REPETITION if found else None


def _words(read: Reading, trace: Trace, limits: Limits) -> bool:
    seen: dict[Gram, tuple[int, int]] = {}
    again, often, distances = bytearray(), bytearray(), {len(read.grams)}
    for position, gram in enumerate(read.grams):
        times, before = seen.get(gram, (0, 0))
        seen[gram] = (times + 1, position)
        again.append(times > 0)
        often.append(times > 1)
        if times:
            distances.add(position - before)
    periods = range(1, _LOOPED_WORDS + 1 if min(distances) <= _LOOPED_WORDS else 2)
    sample = inputs_reading(trace.inputs).words
    if _looped(read.words, limits.loop_times, periods) and not _looped(sample, limits.loop_times, _PERIODS):
        return True
    words = len(read.words)
    return (
        words_in_runs(bytes(again), limits.repeated_words) > limits.repeated_share * words
        or words_in_runs(bytes(often), limits.repeated_words) > limits.often_repeated_share * words
    )


def _looped(words: list[str], times: int, periods: range) -> bool:
    """Whether so many words stand `times` times in a row; longer periods than one show in n-grams as near as that."""
    for period in periods:
        equal = bytes(map(eq, words, words[period:]))
        if b"\x01" * (period * (times - 1)) in equal:
            return True
    return False


def _sentences(read: Reading, limits: Limits) -> bool:
    sentences = [sentence.text for sentence in read.sentences]
    return (
        _recurs(read.lines, 2, limits.copied_line_words)
        or _recurs(sentences, limits.repeated_sentences, _SENTENCE_WORDS)
        or _recurs(sentences, 2 * limits.repeated_sentences, _ITEM_WORDS)
    )


def _items(read: Reading, limits: Limits) -> bool:
    """Whether items of a list are equal but for their numbers."""
    items = [line[marker.end() :] for line in read.lines if (marker := _MARKER.match(line))]
    return _recurs(items, limits.repeated_sentences, _ITEM_WORDS)


def _recurs(pieces: list[str], times: int, words: int) -> bool:
    """Whether one piece of so many words stands so often."""
    if len(pieces) - len(set(pieces)) < times - 1:
        return False
    return any(seen >= times and len(piece.split()) >= words for piece, seen in Counter(pieces).items())


def _characters(read: Reading, limits: Limits) -> bool:
    chunks = read.lower.split()
    if not chunks or max(map(len, chunks)) < limits.run_chars:
        return False
    return any(len(chunk) >= limits.run_chars and _is_run(chunk, limits) for chunk in chunks)


def _is_run(chunk: str, limits: Limits) -> bool:
    """Whether a chunk without white space holds one character in a row too often, or hardly any different ones."""
    characters = set(chunk)
    if characters <= _RULES:
        return len(chunk) >= _RULE_CHARS
    if len(characters) <= _FEW_CHARS:
        return True
    signs = chunk.strip(_WORD_CHARS)
    if len(signs) >= limits.run_chars and len(set(signs)) <= _FEW_CHARS and not set(signs) <= _RULES:
        return True
    return any(char * limits.run_chars in chunk for char in characters - _RULES)
