"""The items of a task that a run with a limit asks about: the beginning of one random order. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from safety_reasoning.builders.samples import digest
from safety_reasoning.eval.benchmarks.item import Item
from safety_reasoning.eval.benchmarks.task import Task


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task, and those of its items that are asked about."""

    task: Task
    items: tuple[Item, ...]


def subset(items: Sequence[Item], limit: int | None, seed: int) -> tuple[Item, ...]:
    """At most so many items, in the order that they came in; those of a smaller limit are among them."""
    if limit is None or limit >= len(items):
        return tuple(items)
    chosen = set(sorted((item.key for item in items), key=lambda key: digest([seed, key]))[:limit])
    return tuple(item for item in items if item.key in chosen)
