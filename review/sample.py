"""Sample: which traces people read, the same ones in the same order for every reviewer.

A stratum is a teacher, a step, the first reason against the trace (or `kept`) and whether the verdict beside it agrees
with the label. Each stratum is put in an order of its own by a hash of the seed; the sample takes the first trace of
every stratum, then the second of every stratum, and so on, each round in the order of the replies' keys, until it has
enough. So every stratum gives equally many as long as it lasts, what is left over is spread at random, and whoever
stops half-way has read a stratified sample too. Rare faults are over-represented: an estimate about all traces weights
each by the inverse of its chance to be read (agreement_marks.py), so the strata's sizes are kept with every mark.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.samples import Sample, digest
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.tried import Tried, tried

KEPT = "kept"
"""The reason of a trace that nobody has a reason against."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Stratum:
    """Traces that are alike in what the sample is balanced by."""

    teacher: str
    step: str
    reason: str
    """The first of its reasons, or KEPT."""
    verdict: str
    """agrees or differs, beside the label; none for a rewrite, which has no verdict of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to read. The filters choose whole strata, so the weights hold whatever was chosen."""

    count: int = 100
    seed: int = 0
    teachers: frozenset[str] = frozenset()
    """Empty: all; likewise below."""
    steps: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()

    def takes(self, stratum: Stratum) -> bool:
        """Whether the stratum is one that was chosen."""
        wanted = ((self.teachers, stratum.teacher), (self.steps, stratum.step), (self.reasons, stratum.reason))
        return all(value in allowed for allowed, value in wanted if allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A trace of the sample, and what it was drawn from."""

    tried: Tried
    stratum: Stratum
    size: int
    """Traces in its stratum."""
    drawn: int
    """Of these, in the sample."""

    @property
    def key(self) -> str:
        """By which the trace is known: that of the reply that holds it."""
        return self.tried.sifted.reply.key


@dataclass(slots=True)
class _Stratum:
    """The traces of a stratum that may be drawn: those that come first in its order."""

    size: int = 0
    first: list[tuple[int, str, str]] = field(default_factory=list)
    """A heap of (-place, reply key, sample key), never more than the sample can take."""

    def add(self, place: int, attempt: Tried, most: int) -> None:
        self.size += 1
        item = (-place, attempt.sifted.reply.key, attempt.sample.key)
        if len(self.first) < most:
            heapq.heappush(self.first, item)
        else:
            heapq.heappushpop(self.first, item)


def stratum_of(attempt: Tried) -> Stratum:
    """The stratum of an attempt."""
    verdict = {None: "none", True: "differs", False: "agrees"}[attempt.mismatch]
    return Stratum(
        teacher=attempt.teacher,
        step=str(attempt.sifted.reply.step),
        reason=str(next(iter(attempt.sifted.reasons), KEPT)),
        verdict=verdict,
    )


def draw(
    recipe: Recipe, samples: Iterable[Sample], store: Store, choice: Choice, seen: Callable[[int], None]
) -> list[Drawn]:
    """The sample, in the order in which it is read; `seen` is told how many traces were looked at so far.

    `samples` is gone through twice: first to draw, then to fetch what was drawn. A reply without a trace is not drawn.
    """
    strata: dict[Stratum, _Stratum] = {}
    for number, attempt in enumerate(_readable(recipe, samples, store), start=1):
        seen(number)
        if choice.takes(stratum := stratum_of(attempt)):
            place = _place(choice.seed, attempt.sifted.reply.key)
            strata.setdefault(stratum, _Stratum()).add(place, attempt, choice.count)
    order = _order(strata, choice)
    taken = [stratum for _, _, stratum in order]
    wanted = {sample_key for _, sample_key, _ in order}
    fetched = {
        attempt.sifted.reply.key: attempt
        for attempt in _readable(recipe, (sample for sample in samples if sample.key in wanted), store)
    }
    return [
        Drawn(tried=fetched[key], stratum=stratum, size=strata[stratum].size, drawn=taken.count(stratum))
        for key, _, stratum in order
    ]


def _readable(recipe: Recipe, samples: Iterable[Sample], store: Store) -> Iterator[Tried]:
    return (attempt for attempt in tried(recipe, samples, store) if attempt.sifted.trace is not None)


def _order(strata: dict[Stratum, _Stratum], choice: Choice) -> list[tuple[str, str, Stratum]]:
    """(reply key, sample key, stratum) of the sample, round by round; within one by key, which is a hash itself."""
    ranked = [
        (rank, key, sample_key, stratum)
        for stratum, traces in strata.items()
        for rank, (_, key, sample_key) in enumerate(sorted(traces.first, reverse=True))
    ]
    return [(key, sample_key, stratum) for _, key, sample_key, stratum in sorted(ranked)[: choice.count]]


def _place(seed: int, key: str) -> int:
    return int(digest([seed, key]), 16)
