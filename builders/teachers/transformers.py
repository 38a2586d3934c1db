"""The `transformers` engine: a model in this process, on a CPU or a GPU, without a server.

One thread owns the model and answers what waits in batches of at most `concurrency`. Each call of a batch has its own
sampling and seed (builders/teachers/sampler.py). Rows of other lengths beside it may change the last bits of a call's
numbers: with `concurrency = 1` they cannot, and a greedy reply is the same bit for bit.
"""

import importlib.util
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from safety_reasoning.builders.calls import Reply, Request
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.teachers.model_thread import Asked, ModelThread, settle
from safety_reasoning.errors import missing_extra

EXTRA = "train"
_PACKAGES = ("torch", "transformers", "accelerate", "safetensors")
_QUIET_S = 0.05
"""A batch that is not full starts when no call has come for so long: workers that were answered together come back
together."""


class Model(Protocol):
    """A model that answers batches, used by one thread."""

    def answer(self, requests: Sequence[Request], given_up: Callable[[], bool]) -> list[Reply]:
        """A reply to each, in order; short ones where `given_up` says meanwhile that nobody waits."""
        ...


class TransformersTeacher(ModelThread):
    """One model; loaded, by a thread of its own, when the first call comes."""

    def __init__(self, recipe: EngineRecipe, load: "Callable[[EngineRecipe], Model] | None" = None) -> None:
        for package in _PACKAGES if load is None else ():
            if importlib.util.find_spec(package) is None:
                raise missing_extra(EXTRA, package)
        super().__init__(recipe.title, "transformers failed with {}".format)
        self._recipe, self._load = recipe, load or _local_model

    def serve(self) -> None:
        """See `ModelThread.serve`."""
        model = self._load(self._recipe)
        while not self.closing.is_set():
            if batch := self._gather():
                self._answer(model, batch)

    def _gather(self) -> list[Asked]:
        """The calls of the next batch; none when the engine is being closed."""
        batch: list[Asked] = []
        until = None
        while len(batch) < self._recipe.concurrency:
            asked = self.take(timeout=None if until is None else max(0.0, until - time.monotonic()))
            if asked is None:
                break
            batch.append(asked)
            until = time.monotonic() + _QUIET_S
        return batch

    def _answer(self, model: Model, batch: Sequence[Asked]) -> None:
        def given_up() -> bool:
            return self.closing.is_set() or all(reply.cancelled() for _, reply in batch)

        replies = model.answer([request for request, _ in batch], given_up)
        for (_, waiting), reply in zip(batch, replies, strict=True):
            if not given_up():
                settle(waiting, reply)


def _local_model(recipe: EngineRecipe) -> Model:
    from safety_reasoning.builders.teachers.local_model import LocalModel

    return LocalModel(recipe)
