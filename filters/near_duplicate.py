"""Sentences that say the same in other words; equal ones are the repetition filter's."""

import re
from collections.abc import Iterable, Iterator, Sequence

from safety_reasoning.filters.cues import stems_of
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import STEM_CHARS, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_CLAUSE = re.compile(r"[,;:] ")
_WORD = re.compile(r"\w+")
_LEAST = 3
"""Content words of a sentence that can be compared."""

Content = set[str]


def near_duplicate(trace: Trace, limits: Limits) -> Drop | None:
    """NEAR_DUPLICATE if many sentences share most of their content words with earlier ones.

    A shortened trace is one sentence, so its clauses are compared. At most `max_comparisons` pairs are, which keeps
    the time linear in the trace's length: in a trace of 200 sentences all, in a longer one each with fewer of those
    just before it.
    """
    sentences = reading(trace.text).sentences
    stems: Iterable[set[str]] = {
        sentence.text: sentence.stems if sentence.own == sentence.text else _stems(sentence.own)
        for sentence in sentences
    }.values()
    most = limits.near_duplicates
    if trace.step == "efficient":
        clauses = [clause.rstrip(".") for sentence in sentences for clause in _CLAUSE.split(sentence.own)]
        stems = map(_stems, dict.fromkeys(clauses))
        most = limits.near_duplicate_clauses
    function_words = stems_of("function_words")
    contents = [content for found in stems if len(content := found - function_words) >= _LEAST]
    if len(contents) <= most:
        return None
    near = sum(
        any(_likeness(content, other) >= limits.near_duplicate_likeness for other in before)
        for content, before in _pairs(_alike(contents, limits.near_duplicate_likeness), limits.max_comparisons)
    )
    found = near >= most and near > limits.near_duplicate_share * len(contents)
    return Drop.NEAR_DUPLICATE if found else None


def _stems(clause: str) -> set[str]:
    return {word[:STEM_CHARS] for word in _WORD.findall(clause)}


def _alike(contents: Sequence[Content], likeness: float) -> list[Content]:
    """Those that share enough words with the others together to be like one of them."""
    seen: set[str] = set()
    shared: set[str] = set()
    for content in contents:
        shared |= content & seen
        seen |= content
    least = likeness / (2 - likeness)  # of a text's words, even where the other one has no more than these
    return [content for content in contents if len(content & shared) >= least * len(content)]


def _likeness(one: Content, other: Content) -> float:
    """Dice's coefficient, in [0, 1]."""
    return 2 * len(one & other) / (len(one) + len(other))


def _pairs(contents: Sequence[Content], most: int) -> Iterator[tuple[Content, Sequence[Content]]]:
    """Each sentence's content with those before it that it is compared with."""
    window = max(most // max(len(contents), 1), 1)
    for n, content in enumerate(contents):
        yield content, contents[max(n - window, 0) : n]
