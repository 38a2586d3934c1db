"""Resume: a sample's chain of calls, followed through the store as far as there are replies."""

from collections import Counter
from dataclasses import dataclass, field

from safety_reasoning.builders.calls import Call, Reply, Step
from safety_reasoning.builders.finished import End, Ended
from safety_reasoning.builders.plan import Answers, Chain, chain, steps
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sift import Sifted
from safety_reasoning.builders.store import Store


@dataclass(slots=True)
class Paused:
    """A chain at its first call without a reply, or at its end."""

    chain: Chain
    call: Call | None
    """The call to ask next; None at the end."""
    key: str
    """Of that call."""
    expected: Counter[Step]
    """Calls that are still to come if every trace is kept and none is truncated; `call` is among them, or comes in
    addition (see `is_extra`)."""
    tried: list[Sifted]
    """Every trace so far, in the order of the calls: those that are kept and those that were asked for again."""
    passed: Counter[Step] = field(default_factory=Counter)
    """Calls that had a reply."""
    answers: Answers | None = None
    """At the end."""

    @property
    def ended(self) -> Ended | None:
        """Where the chain ended; None before its end."""
        if self.answers is None:
            return None
        full, efficient = self.answers.full, self.answers.efficient
        return Ended(
            calls=self.passed,
            full=End(full.reply.key, full.reasons),
            verdict=self.answers.verdict.key,
            efficient=None if efficient is None else End(efficient.reply.key, efficient.reasons),
        )

    @property
    def is_extra(self) -> bool:
        """Whether `call` is one that a chain without trouble does not have."""
        return self.call is not None and not self.expected[self.call.step]

    def go_on(self, reply: Reply) -> None:
        """Take the reply to `call`."""
        if self.call is None:
            raise ValueError("the chain has ended")
        self.passed[self.call.step] += 1
        self.expected[self.call.step] -= bool(self.expected[self.call.step])
        try:
            self.call = self.chain.send(reply)
            self.key = self.call.key
        except StopIteration as end:
            self.call = None
            self.answers = end.value

    def skip(self, store: Store) -> tuple[Counter[Step], Counter[Step]]:
        """Go on over the calls that have a reply; how many of each step, and how many of these are extra."""
        found: Counter[Step] = Counter()
        extra: Counter[Step] = Counter()
        while self.call is not None and (reply := store.get(self.key)) is not None:
            found[self.call.step] += 1
            extra[self.call.step] += self.is_extra
            self.go_on(reply)
        return found, extra


def begin(sample: Sample, teacher: TeacherRecipe, recipe: Recipe) -> Paused:
    """The chain at its first call, whatever the store holds."""
    tried: list[Sifted] = []
    calls = chain(sample, teacher, recipe, tried)
    first = next(calls)
    return Paused(calls, first, first.key, Counter(steps(teacher, recipe)), tried)


def resume(sample: Sample, teacher: TeacherRecipe, recipe: Recipe, store: Store) -> Paused:
    """The chain at its first call that the store has no reply to."""
    paused = begin(sample, teacher, recipe)
    paused.skip(store)
    return paused
