"""What all guards share: an answer is read, and its probability found, by one search for the verdict."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from safety_reasoning.builders.calls import TokenChoice
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, after_reasoning
from safety_reasoning.eval.guards.guard import Reading
from safety_reasoning.eval.guards.probability import verdict_probability

SAFETY = frozenset({Subject.PROMPT, Subject.RESPONSE})
"""The subjects of a content-safety guard."""


class Parsed(ABC):
    """A guard whose answer is found by `find`."""

    __slots__ = ()

    @abstractmethod
    def find(self, item: Item, answer: str) -> Said | Fault:
        """The verdict of an answer whose reasoning is taken off. Never raises."""

    @abstractmethod
    def words(self, item: Item) -> Words:
        """The words that decide."""

    def read(self, item: Item, answer: str) -> Reading:
        """What the answer says, its reasoning taken off."""
        text = after_reasoning(answer)
        said = text if isinstance(text, Fault) else self.find(item, text)
        if isinstance(said, Fault):
            return Reading(positive=None, fault=said)
        return Reading(positive=said.positive, refusal=said.refusal)

    def probability(self, item: Item, tokens: Sequence[TokenChoice]) -> float | None:
        """The probability of the positive verdict at the token that decides it; None where they do not say."""
        return verdict_probability(tokens, partial(self.find, item), self.words(item))
