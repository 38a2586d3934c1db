"""Resume: a sample's chain of calls, followed through the store as far as there are replies."""

from collections import Counter
from dataclasses import dataclass

from safety_reasoning.builders.calls import Call, Reply, Status, Step
from safety_reasoning.builders.plan import Answers, Chain, chain, closing_keys, steps
from safety_reasoning.builders.recipe import TeacherRecipe, VerdictSource
from safety_reasoning.builders.samples import Sample
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
    """Calls that are still to come if every trace can be used and none is truncated; `call` is among them, or
    comes in addition (see `is_extra`)."""
    answers: Answers | None = None
    """At the end."""

    @property
    def is_extra(self) -> bool:
        """Whether `call` is one that a chain without trouble does not have."""
        return self.call is not None and not self.expected[self.call.step]

    def go_on(self, reply: Reply) -> None:
        """Take the reply to `call`."""
        if self.call is None:
            raise ValueError("the chain has ended")
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


def begin(sample: Sample, teacher: TeacherRecipe, verdict: VerdictSource) -> Paused:
    """The chain at its first call, whatever the store holds."""
    calls = chain(sample, teacher, verdict)
    first = next(calls)
    return Paused(calls, first, first.key, Counter(steps(teacher, verdict)))


def resume(sample: Sample, teacher: TeacherRecipe, verdict: VerdictSource, store: Store) -> Paused:
    """The chain at its first call that the store has no reply to."""
    paused = begin(sample, teacher, verdict)
    paused.skip(store)
    return paused


def is_finished(sample: Sample, teacher: TeacherRecipe, verdict: VerdictSource, store: Store) -> bool | None:
    """Whether the store holds all of a chain without trouble (True) or none of it (False).

    None where only a look at the replies can tell (`resume`).
    """
    statuses = [store.status(key) for key in closing_keys(sample, teacher, verdict)]
    if not any(statuses):
        return False if statuses else None
    return True if all(statuses) and Status.TRUNCATED not in statuses else None
