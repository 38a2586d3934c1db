"""Sentences that say the same in other words; equal ones are the repetition filter's."""

import re
from collections.abc import Iterable, Iterator, Sequence

from rapidfuzz import fuzz, process

from safety_reasoning.filters.cues import stems_of, words_of
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import Reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_CLAUSE = re.compile(r"[,;:] ")
_WORD = re.compile(r"\w+")
_LEAST = 3
"""Content words of a sentence that can be compared."""
_SHARED = 0.5
"""Least share of them that other sentences must have, for it to be worth comparing."""
_LEAST_SHARED = 2
_CHARS = 400
"""Characters of a sentence that are compared: a longer one is no sentence."""


def near_duplicate(trace: Trace, limits: Limits) -> Drop | None:
    """NEAR_DUPLICATE if many sentences have nearly the same content words as earlier ones, in whatever order.

    A shortened trace is one sentence, so its clauses are compared. At most `max_comparisons` pairs are, which keeps
    the time linear in the trace's length: in a trace of 200 sentences all, in a longer one each with fewer of those
    just before it.
    """
    read = reading(trace.text)
    if trace.step == "full":
        most, said = limits.near_duplicates, _alike(read)
    else:
        most, said = limits.near_duplicate_clauses, _clauses(read)
    contents = _contents(said) if len(said) > most else []
    if len(contents) <= most:
        return None
    least = 100 * limits.near_duplicate_likeness
    near = sum(
        process.extractOne(content, before, scorer=fuzz.ratio, score_cutoff=least) is not None
        for content, before in _pairs(contents, limits.max_comparisons)
    )
    found = near >= most and near > limits.near_duplicate_share * _comparable(read, contents, trace)
    return Drop.NEAR_DUPLICATE if found else None


def _alike(read: Reading) -> list[list[str]]:
    """The words of the different sentences that share enough content words with others."""
    grammar = stems_of("function_words")
    different = {sentence.text: sentence for sentence in read.sentences}.values()
    seen, recurring = set[str](), set[str]()
    for sentence in different:
        recurring |= seen & sentence.stems
        seen |= sentence.stems
    recurring -= grammar
    return [
        sentence.words if sentence.own == sentence.text else _WORD.findall(sentence.own)
        for sentence in different
        if (shared := len(recurring & sentence.stems)) >= _LEAST_SHARED
        and shared >= _SHARED * len(sentence.stems - grammar)
    ]


def _clauses(read: Reading) -> list[list[str]]:
    """The words of the different clauses."""
    clauses = (clause.rstrip(".") for sentence in read.sentences for clause in _CLAUSE.split(sentence.own))
    return list(map(_WORD.findall, dict.fromkeys(clauses)))


def _comparable(read: Reading, contents: Sequence[str], trace: Trace) -> int:
    """How many sentences, or clauses of a shortened trace, have content to be compared at all."""
    if trace.step == "efficient":
        return len(contents)
    grammar = stems_of("function_words")
    return sum(len(stems - grammar) >= _LEAST for stems in {s.text: s.stems for s in read.sentences}.values())


def _contents(said: Iterable[list[str]]) -> list[str]:
    """The content words of each that has enough of them, in the order of the alphabet."""
    grammar = words_of("function_words")
    contents = (sorted(set(words) - grammar) for words in said)
    return [" ".join(content)[:_CHARS] for content in contents if len(content) >= _LEAST]


def _pairs(contents: Sequence[str], most: int) -> Iterator[tuple[str, Sequence[str]]]:
    """Each content with those before it that it is compared with."""
    window = max(most // max(len(contents), 1), 1)
    for n, content in enumerate(contents):
        yield content, contents[max(n - window, 0) : n]
