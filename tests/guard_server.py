"""A scripted guard on loopback, whose answers a test knows: by the row that it is asked about, and the seed."""

import asyncio
import contextvars
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from safety_reasoning.builders.teachers.server import Script, TeacherServer

Answer = Callable[[int, int], str]
"""The content for a row's number and a seed; <think> tags in it are as a model writes them."""
_SEED: contextvars.ContextVar[int] = contextvars.ContextVar("seed")
_NUMBER = re.compile(r"number (\d+) ")


@dataclass(slots=True)
class GuardServer(TeacherServer):
    """A `TeacherServer` with its faults, and answers of our own."""

    answer: Answer = field(default=lambda number, seed: "")
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Of every request that was seen."""

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        _SEED.set(body["seed"])
        return await TeacherServer._complete(self, request)

    def _reply(self, text: str, prompt: str) -> tuple[str | None, str]:
        found = _NUMBER.search(text)
        assert found is not None, "the guard is asked about rows with a number alone"
        return None, self.answer(int(found[1]), _SEED.get())


@dataclass(frozen=True, slots=True)
class LiveGuard:
    """A server that is running."""

    server: GuardServer
    url: str


@contextmanager
def live_guard(answer: Answer, **script: Any) -> Iterator[LiveGuard]:
    """A scripted guard in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = GuardServer(Script(**script), answer=answer)
    url = asyncio.run_coroutine_threadsafe(server.start(), loop).result(timeout=10)
    try:
        yield LiveGuard(server, url)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()
