"""What a store's attempts gave, counted: how far it is, what was kept, what was dropped, what came of asking again."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from safety_reasoning.builders.calls import Status
from safety_reasoning.builders.join import EFFICIENT, FULL
from safety_reasoning.builders.sift import Sifted
from safety_reasoning.builders.tried import Tried
from safety_reasoning.review.report_cases import Case, step_of

STEPS = (FULL, EFFICIENT)


class Why(NamedTuple):
    """A reason, and whose it is: a filter and a reply's status can both say `truncated`."""

    reason: str
    by: str
    """`reply` (it is no answer), `filter` or `judge`."""


@dataclass(slots=True)
class Yield:
    """Counts of attempts. Keys begin with teacher and step."""

    samples: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """Chains by teacher that have all their replies."""
    begun: Counter[str] = field(default_factory=Counter)
    """Chains by teacher that have some of them."""
    tried: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """By number of the attempt."""
    kept: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    released: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str, Why, int]] = field(default_factory=Counter)
    """By reason, each of a trace's, and attempt."""
    first: Counter[tuple[str, str, Why]] = field(default_factory=Counter)
    """By the first reason of a trace."""
    final: Counter[tuple[str, str, Why]] = field(default_factory=Counter)
    """By the first reason of a trace that its chain ended with."""
    again: Counter[tuple[str, str, Why, int]] = field(default_factory=Counter)
    """Traces that were asked for again, by each reason of the attempt before and its number."""
    mended: Counter[tuple[str, str, Why, int]] = field(default_factory=Counter)
    """Of these, kept at the next attempt."""

    def add(self, case: Case) -> None:
        """Count a sample."""
        self.samples += 1
        for chain in case.chains:
            self.ended[chain.teacher] += chain.ended
            self.begun[chain.teacher] += chain.begun and not chain.ended
            for attempt in chain.attempts:
                self._count(attempt)
            for earlier, later in pairwise(chain.attempts):
                self._compare(earlier, later)
            for step in STEPS:
                self.released[chain.teacher, step] += case.released and chain.released(step) is not None

    def attempts_by_reason(self) -> Counter[Why]:
        """Attempts that have each reason."""
        total: Counter[Why] = Counter()
        for (_, _, why, _), count in self.dropped.items():
            total[why] += count
        return total

    def _count(self, attempt: Tried) -> None:
        teacher, step, number = attempt.teacher, step_of(attempt), attempt.sifted.reply.attempt
        whys = list(reasons_of(attempt.sifted))
        self.tried[teacher, step, number] += 1
        self.kept[teacher, step, number] += not whys
        self.dropped.update((teacher, step, why, number) for why in whys)
        self.first.update((teacher, step, why) for why in whys[:1])
        if attempt.chosen:
            self.final.update((teacher, step, why) for why in whys[:1])

    def _compare(self, earlier: Tried, later: Tried) -> None:
        number = earlier.sifted.reply.attempt
        if later.sifted.reply.attempt != number + 1:  # another sample index, or the rewrite
            return
        for why in reasons_of(earlier.sifted):
            key = (earlier.teacher, step_of(earlier), why, number)
            self.again[key] += 1
            self.mended[key] += not later.sifted.reasons


def reasons_of(sifted: Sifted) -> Iterator[Why]:
    """Every reason of an attempt, the rules' first."""
    by = "filter" if sifted.reply.status is Status.OK else "reply"
    for reason in sifted.drops:
        yield Why(reason, by)
    for reason in sifted.opinion.reasons if sifted.opinion is not None else ():
        yield Why(reason, "judge")
