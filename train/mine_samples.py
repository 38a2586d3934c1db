"""What all generations of a row say together: how difficult it is. Pure."""

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum

from safety_reasoning.builders.calls import Reply
from safety_reasoning.train.mine_outcome import Judged, Outcome
from safety_reasoning.train.mine_rows import Asked


class Kind(StrEnum):
    """Codes are public: added to, never given a new meaning."""

    ALWAYS_RIGHT = "always_right"
    MOSTLY_RIGHT = "mostly_right"
    """Right more often than a difficult row, and not always."""
    DIFFICULT = "difficult"
    """Right as often as the recipe's `keep` says: near the guard's decision boundary."""
    SELDOM_RIGHT = "seldom_right"
    """Right less often than a difficult row, and not never."""
    ALWAYS_WRONG = "always_wrong"
    """Never right: more likely than others to be labelled wrongly."""
    NOT_JUDGED = "not_judged"
    """The server refused one of the requests, so the row cannot be counted."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer of the guard to a row."""

    judged: Judged
    reasoning: str | None
    answer: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A row and what the guard made of it."""

    row: Asked
    generations: tuple[Generation, ...]

    @property
    def correct(self) -> int:
        """How many generations are right."""
        return sum(one.judged.outcome is Outcome.RIGHT for one in self.generations)

    @property
    def judged(self) -> bool:
        """Whether the guard was heard every time."""
        return all(one.judged.outcome is not Outcome.FAILED for one in self.generations)

    @property
    def unanimous(self) -> str | None:
        """The verdict of every generation, if it is the same."""
        said = {one.judged.said for one in self.generations}
        return said.pop() or None if len(said) == 1 else None

    def kind(self, keep: tuple[int, int]) -> Kind:
        """How difficult it is, where a difficult row is right so many times."""
        low, high = keep
        if not self.judged:
            return Kind.NOT_JUDGED
        if self.correct == 0:
            return Kind.ALWAYS_WRONG
        if self.correct == len(self.generations):
            return Kind.ALWAYS_RIGHT
        if self.correct < low:
            return Kind.SELDOM_RIGHT
        return Kind.DIFFICULT if self.correct <= high else Kind.MOSTLY_RIGHT

    def without_texts(self) -> "Sample":
        """The same without what the guard wrote: all that is counted, in little memory."""
        return replace(self, generations=tuple(replace(one, reasoning=None, answer="") for one in self.generations))

    @property
    def outcomes(self) -> "Counter[Outcome]":
        """How its generations ended."""
        return Counter(one.judged.outcome for one in self.generations)


def generation(reply: Reply, judged: Judged) -> Generation:
    """A reply as what is kept of it, in UTF-8: a model may write half of a surrogate pair, which no file holds."""
    reasoning = None if reply.reasoning is None else _whole(reply.reasoning)
    return Generation(judged, reasoning, _whole(reply.answer), reply.completion_tokens)


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
