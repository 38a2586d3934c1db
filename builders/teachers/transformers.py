"""The `transformers` engine: a model in this process, on a CPU or a GPU, without a server.

One thread owns the model and answers what waits in batches of at most `concurrency`. Each call of a batch has its own
sampling and seed (builders/teachers/sampler.py). Rows of other lengths beside it may change the last bits of a call's
numbers: with `concurrency = 1` they cannot, and a greedy reply is the same bit for bit.
"""

import asyncio
import importlib.util
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Protocol

from safety_reasoning.builders.calls import Reply, Request
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.teachers.protocol import TeacherStopped
from safety_reasoning.errors import missing_extra

EXTRA = "train"
_PACKAGES = ("torch", "transformers", "accelerate", "safetensors")
_QUIET_S = 0.05
"""A batch that is not full starts when no call has come for so long: workers that were answered together come back
together."""
_CLOSE_S = 20.0

_Asked = tuple[Request, "Future[Reply]"]


class Model(Protocol):
    """A model that answers batches, used by one thread."""

    def answer(self, requests: Sequence[Request], given_up: Callable[[], bool]) -> list[Reply]:
        """A reply to each, in order; short ones where `given_up` says meanwhile that nobody waits."""
        ...


class TransformersTeacher:
    """One model; loaded, by a thread of its own, when the first call comes."""

    def __init__(self, recipe: EngineRecipe, load: "Callable[[EngineRecipe], Model] | None" = None) -> None:
        for package in _PACKAGES if load is None else ():
            if importlib.util.find_spec(package) is None:
                raise missing_extra(EXTRA, package)
        self._recipe, self._load = recipe, load or _local_model
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    async def ask(self, request: Request) -> Reply:
        """See `Teacher.ask`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"transformers {self._recipe.name}", daemon=True)
            self._thread.start()
        reply: Future[Reply] = Future()
        self._asked.put((request, reply))
        return await asyncio.wrap_future(reply)  # which hands a cancellation on

    async def close(self) -> None:
        """Free the model. What is still in the batch is given up."""
        self._closing.set()
        self._asked.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _CLOSE_S)

    def _work(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C is for the main thread
        batch: list[_Asked] = []
        why = "closed"
        try:
            model = self._load(self._recipe)
            while not self._closing.is_set():
                batch = self._gather()
                self._answer(model, batch)
        except TeacherStopped as error:
            why = str(error)
        except BaseException as error:  # whatever torch raises; its words may quote a prompt
            why = f"transformers failed with {type(error).__name__}"
        stopped = f"{self._recipe.title}: {why}"
        for _, reply in batch:
            _settle(reply, TeacherStopped(stopped))
        while not (self._closing.is_set() and self._asked.empty()):
            if (asked := self._asked.get()) is not None:
                _settle(asked[1], TeacherStopped(stopped))

    def _gather(self) -> list[_Asked]:
        """The calls of the next batch; none when the engine is being closed."""
        batch: list[_Asked] = []
        until = None
        while len(batch) < self._recipe.concurrency:
            try:
                asked = self._asked.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if asked is None:
                break
            if not asked[1].cancelled():
                batch.append(asked)
            until = time.monotonic() + _QUIET_S
        return batch

    def _answer(self, model: Model, batch: Sequence[_Asked]) -> None:
        def given_up() -> bool:
            return self._closing.is_set() or all(reply.cancelled() for _, reply in batch)

        if not batch:
            return
        replies = model.answer([request for request, _ in batch], given_up)
        for (_, waiting), reply in zip(batch, replies, strict=True):
            if not given_up():
                _settle(waiting, reply)


def _settle(reply: "Future[Reply]", outcome: Reply | Exception) -> None:
    with suppress(InvalidStateError):  # cancelled, or answered already
        if isinstance(outcome, Exception):
            reply.set_exception(outcome)
        else:
            reply.set_result(outcome)


def _local_model(recipe: EngineRecipe) -> Model:
    from safety_reasoning.builders.teachers.local_model import LocalModel

    return LocalModel(recipe)
