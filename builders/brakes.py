"""Brakes: when a teacher, or the whole run, is asked no further."""

from collections import Counter
from dataclasses import dataclass, field

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.opinion import read_opinion
from safety_reasoning.builders.questions import sampling_for
from safety_reasoning.builders.recipe import Budget, EngineRecipe, JudgeRecipe
from safety_reasoning.builders.store import Spent

_FINE = ""
_GIVE_UP_AFTER = 8
"""Calls in a row that a teacher leaves unfinished before the run stops asking it."""
_SAME_FAULT = 32
"""Replies in a row that end in the same fault before the run stops asking: the server is set up wrongly, and each
of them is paid for."""
_REFUSALS = {Status.REJECTED, Status.ERROR_BODY}
"""Ends of a guard's call that say nothing of the guard."""


@dataclass(slots=True)
class Brakes:
    """What may stop a run. The ledger says what is in flight, and is told why a teacher is stopped."""

    budget: Budget
    spent: Spent
    """By every run of the store, this one included."""
    ledger: Ledger
    failures: Counter[str] = field(default_factory=Counter)
    """By teacher, calls left unfinished in a row."""
    faults: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By teacher, how its latest reply ended and how many in a row ended so."""

    def stop(self, teacher: str) -> bool:
        """Whether what is in flight should be the teacher's last."""
        return self.failures[teacher] >= _GIVE_UP_AFTER or teacher in self.ledger.stopped or bool(self.met())

    def hold(self, teacher: str) -> bool:
        """Whether no further call may be sent now."""
        return self.stop(teacher) or self.room() == 0

    def room(self) -> int | None:
        """Calls that the budget has room for beside those in flight; None: it sets no limit."""
        if self.budget.calls is None:
            return None
        in_flight = sum(line.in_flight for line in self.ledger.lines.values())
        return max(0, self.budget.calls - self.spent.calls - in_flight)

    def met(self) -> str:
        """The limits that are met, in words; '' where none is."""
        met = []
        if self._is_met(self.budget.calls, self.spent.calls):
            met.append(f"calls = {self.budget.calls}")
        if self._is_met(self.budget.tokens, self.spent.tokens):
            met.append(f"tokens = {self.budget.tokens} ({self.spent.tokens} spent)")
        if self._is_met(self.budget.cost_usd, self.spent.cost_usd):
            met.append(f"cost_usd = {self.budget.cost_usd} ({self.spent.cost_usd:.2f} spent)")
        return " and ".join(f"budget.{limit}" for limit in met)

    @staticmethod
    def _is_met(limit: float | None, spent: float) -> bool:
        return limit is not None and spent >= limit

    def unfinished(self, teacher: str) -> None:
        """A call of the teacher got no reply."""
        self.failures[teacher] += 1

    def answered(self, reply: Reply, asked: EngineRecipe) -> None:
        """A reply is in the store; `asked`: the teacher that gave it, or the judge."""
        self.failures[asked.name] = 0
        self.spent = Spent(
            self.spent.calls + 1,
            self.spent.tokens + reply.prompt_tokens + reply.completion_tokens,
            self.spent.cost_usd + (reply.cost_usd or 0.0),
        )
        longer = not reply.step.measures and sampling_for(asked, reply.step).retry_max_tokens is not None
        if not (reply.status is Status.TRUNCATED and longer):  # which is asked again, and says nothing yet
            self._look_for_one_fault(asked, reply.step, _ended(reply, asked))

    def _look_for_one_fault(self, asked: EngineRecipe, step: Step, ended: str) -> None:
        before, count = self.faults.get(asked.name, (_FINE, 0))
        count = count + 1 if ended == before else 1
        self.faults[asked.name] = (ended, count)
        if count == _SAME_FAULT and ended != _FINE:
            fix = _ask_again(step, ended) if ended in list(Status) else ""
            self.ledger.stopped[asked.name] = (
                f"{asked.title}: {count} replies in a row ended as `{ended}`; mend the server or the recipe{fix}"
            )


def _ask_again(step: Step, ended: str) -> str:
    if step is Step.GUARD:
        return f", then run again with `--retry {ended}`"
    return "" if step is Step.MINE else f", then `safety-reasoning traces retry RECIPE --reason {ended}`"


def _ended(reply: Reply, asked: EngineRecipe) -> str:
    """The reply's status; for a judge's whose answer cannot be read, why."""
    if reply.step.measures and reply.status not in _REFUSALS:
        return _FINE
    if isinstance(asked, JudgeRecipe):
        return read_opinion(reply, asked.rubric).fault
    return _FINE if reply.status is Status.OK else reply.status
