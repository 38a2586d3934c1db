"""The thread that owns a model in this process, and the calls that wait for it."""

import asyncio
import queue
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from safety_reasoning.builders.calls import Reply, Request
from safety_reasoning.builders.teachers.protocol import TeacherStopped

Asked = tuple[Request, "Future[Reply]"]
_CLOSE_S = 20.0
"""How long closing waits for the step that runs, or for a model that is being loaded."""


class ModelThread(ABC):
    """A `Teacher` whose calls one thread answers, which starts when the first one comes."""

    def __init__(self, title: str, failed: Callable[[str], str]) -> None:
        """Make it; `failed` says, for the name of an exception that nobody foresaw, what became of the model."""
        self.closing = threading.Event()
        self._title, self._failed = title, failed
        self._asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._taken: set[Future[Reply]] = set()
        self._thread: threading.Thread | None = None

    async def ask(self, request: Request) -> Reply:
        """See `Teacher.ask`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._title, daemon=True)
            self._thread.start()
        reply: Future[Reply] = Future()
        self._asked.put((request, reply))
        return await asyncio.wrap_future(reply)  # which hands a cancellation on

    async def close(self) -> None:
        """Let the thread end. What is still being answered is given up."""
        self.closing.set()
        self._asked.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _CLOSE_S)

    @abstractmethod
    def serve(self) -> None:
        """Take calls and settle them, in the thread, until `closing` is set.

        What it raises ends the engine, not the process: the calls taken and all that come later are told of it.
        """

    def take(self, *, block: bool = True, timeout: float | None = None) -> Asked | None:
        """The next call that somebody waits for; None if there is none in time, or the engine is being closed."""
        while True:
            try:
                asked = self._asked.get(block, timeout)
            except queue.Empty:
                return None
            if asked is None or not asked[1].cancelled():
                break
        if asked is not None:
            self._taken.add(asked[1])
            asked[1].add_done_callback(self._taken.discard)
        return asked

    def _work(self) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # Ctrl-C: not for what starts here
        why = "closed"
        try:
            self.serve()
        except TeacherStopped as error:
            why = str(error)
        except BaseException as error:  # whatever a model's library raises, an exit too; its words may quote a prompt
            why = self._failed(type(error).__name__)
        stopped = f"{self._title}: {why}"
        for reply in list(self._taken):
            settle(reply, TeacherStopped(stopped))
        while not (self.closing.is_set() and self._asked.empty()):
            if (asked := self._asked.get()) is not None:
                settle(asked[1], TeacherStopped(stopped))


def settle(reply: "Future[Reply]", outcome: Reply | Exception) -> None:
    """Answer a call, unless it was cancelled or answered meanwhile."""
    with suppress(InvalidStateError):
        if isinstance(outcome, Exception):
            reply.set_exception(outcome)
        else:
            reply.set_result(outcome)
