"""What a guard is: how an item becomes a question to its model, and how what the model answers is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from safety_reasoning.builders.calls import TokenChoice
from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a guard's model is sent for one item."""

    messages: tuple[Turn, ...]
    """A chat, as its chat template takes it."""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the chat template is given beside the messages (`chat_template_kwargs`): `enable_thinking`, a policy."""
    raw: str | None = None
    """The whole text that the model reads, for guards without a chat template; `messages` is then ()."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an answer says of an item."""

    positive: bool | None
    """Harmful, or off-topic; None: nothing that can be used, `fault` says why."""
    fault: Fault | None = None
    refusal: bool | None = None
    """Whether the guard calls the response a refusal; None where it does not say."""


class Guard(Protocol):
    """One guard. Pure: it asks nobody and reads no file but its own prompts."""

    @property
    def name(self) -> str:
        """As recipes and reports name it."""
        ...

    @property
    def subjects(self) -> frozenset[Subject]:
        """What it can judge."""
        ...

    @property
    def prompt_sha256(self) -> str:
        """Hash of its prompt files: runs with other prompts are not compared unasked."""
        ...

    @property
    def takes_policy(self) -> bool:
        """Whether an item's own policy reaches its prompt; else it judges by the taxonomy that it was trained on."""
        ...

    def ask(self, item: Item) -> Ask:
        """The question for an item whose subject is among `subjects`."""
        ...

    def read(self, item: Item, answer: str) -> Reading:
        """What the answer says, its reasoning taken off. Never raises, and is linear in the answer's length."""
        ...

    def probability(self, item: Item, tokens: Sequence[TokenChoice]) -> float | None:
        """The probability of the positive verdict, among positive and negative, at the token that decides it.

        `tokens` are those of the whole reply, reasoning too, as the engine reports them. None where they do not say.
        """
        ...


@runtime_checkable
class Rule(Guard, Protocol):
    """A guard without a model, for the sanity rows of a table: no engine is started and nothing is asked.

    A run tells it by `isinstance(guard, Rule)` and takes `answer` for the reply's; its `ask` holds no message.
    """

    def answer(self, item: Item) -> str:
        """What it answers; `read` reads it like any other."""
        ...
