"""The rows of a mixture that a guard is asked about, and the requests that ask it. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from safety_reasoning.builders.calls import Request, Step
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.builders.samples import Turn, digest
from safety_reasoning.errors import UsageError
from safety_reasoning.schemas.columns import Task
from safety_reasoning.train.mine_outcome import Labels

RowId = tuple[str, str]
"""Key and mode: which row it is, however often a mixture holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A row as a guard is asked about it."""

    key: str
    mode: str
    labels: Labels
    turns: tuple[Turn, ...]
    template: Mapping[str, Any] = field(default_factory=dict)
    """What its chat template is given besides: the mode, where the text does not say it."""

    @property
    def id(self) -> RowId:
        """Which row it is."""
        return self.key, self.mode

    @property
    def text_hash(self) -> str:
        """Of everything that the guard reads."""
        said = [[turn.role, turn.content] for turn in self.turns]
        return digest([said, sorted(self.template.items())])


def asked_rows(rows: Iterable[Mapping[str, Any]]) -> list[Asked]:
    """The rows of a mixture, each once, in their order.

    Raises: UsageError if two rows of one key and mode are not the same, so that nobody could tell them apart.
    """
    found: dict[RowId, Asked] = {}
    for row in rows:
        asked = _asked(row)
        if found.setdefault(asked.id, asked) != asked:
            raise UsageError(
                f"the mixture has two different rows of the key {asked.key} in mode {asked.mode}",
                why="generations are kept by key and mode, and would be of either",
                fix="make the mixture with `safety-reasoning train mix`",
            )
    return list(found.values())


def row_id(row: Mapping[str, Any]) -> RowId:
    """Which row it is."""
    return row["key"], row["mode"]


def _asked(row: Mapping[str, Any]) -> Asked:
    labels = Labels(Task(row["task"]), row["prompt_harm"], row["response_harm"], row["topic"])
    return Asked(
        key=row["key"],
        mode=row["mode"],
        labels=labels,
        turns=tuple(Turn(message["role"], message["content"]) for message in row["prompt"]),
        template=row.get("chat_template_kwargs") or {},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How every row is asked."""

    guard: str
    """Which guard it is: its fingerprint, or its model's name."""
    teacher: str
    """The engine's name in the store."""
    model: str
    sampling: Sampling
    generations: int

    def key(self, row: Asked, index: int) -> str:
        """The key of a call, 32 hex digits: another guard, text, sampling or index is another call."""
        return digest([Step.MINE, self.guard, *row.id, row.text_hash, self.sampling.shape, index])

    def keys(self, row: Asked) -> list[str]:
        """The keys of all calls about a row."""
        return [self.key(row, index) for index in range(self.generations)]

    def requests(self, rows: Sequence[Asked]) -> Iterator[Request]:
        """Every call about the rows."""
        for row in rows:
            for index in range(self.generations):
                yield self._request(row, index)

    def _request(self, row: Asked, index: int) -> Request:
        alone = len(row.turns) == 1 and row.turns[0].role == "user"
        return Request(
            key=self.key(row, index),
            sample_key=sample_key(row.key),
            teacher=self.teacher,
            step=Step.MINE,
            sample_index=index,
            model=self.model,
            text=row.turns[-1].content,
            messages=() if alone else row.turns,
            template_kwargs=row.template,
            sampling=self.sampling,
        )


def sample_key(key: str) -> str:
    """A row's key as a store takes it, 32 hex digits; `train mix` gives no others."""
    try:
        return key if len(bytes.fromhex(key)) == 16 else hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
    except ValueError:
        return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
