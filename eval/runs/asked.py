"""Asked: a guard as a run asks it: with its model, its sampling and its policy. Items become requests. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from safety_reasoning.builders.calls import Request, Step
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.builders.samples import digest
from safety_reasoning.eval.benchmarks.item import Item
from safety_reasoning.eval.guards.guard import Ask, Guard

_LEAST_HEAD = 200
"""Characters that all questions must share before an engine is told of them: less is not worth keeping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A guard, and everything that shapes its answers."""

    guard: Guard
    teacher: str
    """The engine's name in the store."""
    model: str
    """As the engine is asked for it."""
    model_id: str
    """What tells the model from every other: its name, or the hash of its files."""
    sampling: Sampling
    generations: int
    logprobs: int
    policy: str | None = None
    """Which every item is judged by, in place of its own."""
    grammar: str = ""

    def put(self, item: Item) -> Item:
        """The item as it is judged."""
        return item if self.policy is None else replace(item, policy=self.policy)

    def requests(self, items: Sequence[Item]) -> Iterator[Request]:
        """Every call about the items of one task, one a generation."""
        asks = [self.guard.ask(self.put(item)) for item in items]
        head = _head(asks)
        for item, ask in zip(items, asks, strict=True):
            for index, key in enumerate(self._keys(ask)):
                yield self._request(item, ask, key, index, head)

    def keys(self, item: Item) -> list[str]:
        """The keys of all calls about an item."""
        return list(self._keys(self.guard.ask(self.put(item))))

    def _keys(self, ask: Ask) -> Iterator[str]:
        """Equal questions have equal keys, whichever task they come from: they are asked once."""
        said = [[turn.role, turn.content] for turn in ask.messages]
        text = digest([said, ask.raw, dict(ask.template_kwargs)])
        for index in range(self.generations):
            shape = [self.sampling.shape, index, self.logprobs, self.grammar]
            yield digest([Step.GUARD, self.model_id, text, shape])

    def _request(self, item: Item, ask: Ask, key: str, index: int, head: str) -> Request:
        alone = _alone(ask)
        text = ask.raw or "" if alone is None else alone
        return Request(
            key=key,
            sample_key=item.key,
            teacher=self.teacher,
            step=Step.GUARD,
            sample_index=index,
            model=self.model,
            text=text,
            messages=() if alone is not None else ask.messages,
            template_kwargs=ask.template_kwargs,
            raw=ask.raw is not None,
            head=head if alone is not None else "",
            sampling=self.sampling,
            logprobs=self.logprobs,
            grammar=self.grammar,
        )


def _alone(ask: Ask) -> str | None:
    """The text of a chat that is one user's message; None for any other."""
    if ask.raw is not None or len(ask.messages) != 1 or ask.messages[0].role != "user":
        return None
    return ask.messages[0].content


def _head(asks: Sequence[Ask]) -> str:
    """What the questions of a task have in common: taxonomy and instructions, up to the end of a line."""
    texts = [text for text in map(_alone, asks) if text is not None]
    if len(texts) < 2:
        return ""
    first, last = min(texts), max(texts)
    shared = first[: next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
    head = shared[: shared.rfind("\n") + 1]
    return head if len(head) >= _LEAST_HEAD else ""
