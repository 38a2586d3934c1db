"""Loops and copies inside a trace.

Passages of eight words and more are counted, not the shorter n-grams of Gopher's thresholds for web pages (Rae et al.,
2021): reasoning names the same categories and parties in every step. A short loop is looked for by itself.
"""

from collections import Counter
from operator import eq

from safety_reasoning.filters.copies import words_in_runs
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import Gram, Reading, inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_LOOPED_WORDS = 8
"""Words of the longest piece whose loop is looked for; longer ones are sentences, which are counted."""
_SENTENCE_WORDS = 5
"""Words of the shortest sentence that is counted: as many as the n-grams have, so none recurs where no n-gram does."""
_RULES = frozenset("-_=*~#+─. ")
"""Characters that are drawn in rows on purpose."""
_RULE_CHARS = 100
"""Even of those, no more than this in a row."""
_FEW_CHARS = 4
"""A longer word is made of more different characters than this, unless it is a loop ("hahaha")."""


def repetition(trace: Trace, limits: Limits) -> Drop | None:
    """REPETITION if words, sentences, lines or characters are caught in a loop, or much is copied from before.

    Source: paper, section 4.1, "repetitive phrasing" and "n-gram repetition detection".
    """
    read = reading(trace.text)
    copies = len(read.grams) > len(read.gram_set)
    found = (copies and (_words(read, trace, limits) or _sentences(read, limits))) or _characters(read, limits)
    return Drop.REPETITION if found else None


def _words(read: Reading, trace: Trace, limits: Limits) -> bool:
    if _looped(read.words, limits.loop_times) and not _looped(inputs_reading(trace.inputs).words, limits.loop_times):
        return True
    seen: Counter[Gram] = Counter()
    again, often = bytearray(), bytearray()
    for gram in read.grams:
        seen[gram] = times = seen[gram] + 1
        again.append(times > 1)
        often.append(times > 2)
    words = len(read.words)
    return (
        words_in_runs(bytes(again), limits.repeated_words) > limits.repeated_share * words
        or words_in_runs(bytes(often), limits.repeated_words) > limits.often_repeated_share * words
    )


def _looped(words: list[str], times: int) -> bool:
    """Whether some one to eight words stand `times` times in a row."""
    for period in range(1, _LOOPED_WORDS + 1):
        equal = bytes(map(eq, words, words[period:]))
        if b"\x01" * (period * (times - 1)) in equal:
            return True
    return False


def _sentences(read: Reading, limits: Limits) -> bool:
    return _recurs(read.lines, 2, limits.copied_line_words) or _recurs(
        [sentence.text for sentence in read.sentences], limits.repeated_sentences, _SENTENCE_WORDS
    )


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
    return any(char * limits.run_chars in chunk for char in characters - _RULES)
