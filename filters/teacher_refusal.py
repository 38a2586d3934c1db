"""A teacher that declines to look at a sample has not reasoned about it."""

import re
from collections.abc import Iterator

from safety_reasoning.filters.cues import Cues, needed_cues
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import inputs_reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace

_CLAUSE = re.compile(r"[,;:—–] (?:but |so |and |therefore |thus |hence |yet )?| (?:but|so|and) ")
_OPENING = re.compile(
    r"[^\w\"']{0,6}(?:(?:okay|ok|hmm|well|no|but|so|and|however|unfortunately|therefore|thus|hence|regrettably|sadly|"
    r"still|instead|honestly|frankly|then|for (?:this|that|these) reasons?|because of this)[.!]? ){0,2}"
)

_ENDS = 4
"""Sentences at the beginning, and at the end, that are looked at."""


def teacher_refusal(trace: Trace, limits: Limits) -> Drop | None:
    """TEACHER_REFUSAL if a clause of the trace declines in its own voice.

    It begins or ends with that; in between it may voice what others would say. Quotations do not count, nor does what
    the teacher read: the sample's response may be a refusal.
    """
    read = reading(trace.text)
    groups = needed_cues("teacher_refusal", read)
    for sentence in (*read.sentences[:_ENDS], *read.sentences[_ENDS:][-_ENDS:]) if groups else ():
        wanted = [group for group in groups if group.needed(sentence.stems)]
        for phrase in _phrases(sentence.own, wanted) if wanted else ():
            if not inputs_reading(trace.inputs).holds(phrase):
                return Drop.TEACHER_REFUSAL
    return None


def _phrases(sentence: str, groups: list[Cues]) -> Iterator[str]:
    """What the groups find at the beginning of the sentence and of its clauses; plans stand anywhere."""
    for clause in (sentence, *_CLAUSE.split(sentence)[1:]):
        opening = _OPENING.match(clause)
        begins = opening.end() if opening else 0
        for group in groups:
            found = group.pattern.match(clause, begins)
            if found is not None:
                yield found[0]
    for group in groups:
        if group.name == "plans":
            yield from (found[0] for found in group.pattern.finditer(sentence))
