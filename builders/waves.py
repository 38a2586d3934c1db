"""Waves: a batch engine is given every call that can be asked now, then every call that these made possible.

Requests go out and replies come back as Parquet parts in a folder that the engine's machines can write to. Parts
are merged into the store while the engine works; the next run begins with those that a killed one left.
"""

import asyncio
import shutil
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from safety_reasoning.builders.calls import Reply, Request
from safety_reasoning.builders.parts import read_replies, write_requests
from safety_reasoning.builders.teachers.protocol import BatchTeacher

_POLL_S = 1.0
_REPLIES = "replies"
_PART = 1000
"""Requests in one part, at most."""


@dataclass(slots=True)
class Waves:
    """One teacher's waves."""

    engine: Callable[[], BatchTeacher]
    """Opens the engine; called when there is something to ask."""
    folder: Path
    """For requests and replies on their way."""
    prepare: Callable[[], Awaitable[None]]
    """Does what the next wave waits for and no batch can do: asks the judge."""
    next_requests: Callable[[], Iterator[Request]]
    """What can be asked now."""
    keep: Callable[[Sequence[Reply]], Awaitable[None]]
    """Returns when the replies are in the store."""
    enough: Callable[[], bool]
    """Whether the run should stop asking."""

    async def run(self) -> Counter[str]:
        """Ask until nothing is left to ask or nothing new comes; calls left unfinished, by kind of failure.

        Raises: TeacherStopped from the engine, UsageError if a folder or the store cannot be used.
        """
        while not self.enough():
            await self.prepare()
            if not await self._write_requests():
                return Counter()
            taken, unfinished = await self._wave(self.engine())
            if unfinished or not taken:
                return unfinished
        return Counter()

    async def _wave(self, engine: BatchTeacher) -> tuple[int, Counter[str]]:
        stop = threading.Event()
        self._replies.mkdir(parents=True, exist_ok=True)
        asking = asyncio.create_task(asyncio.to_thread(engine.answer, self._requests, self._replies, stop))
        taken = 0
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=_POLL_S)
                taken += await self._take()
                if self.enough():
                    stop.set()
        finally:
            stop.set()
            await asyncio.wait({asking})
            taken += await self._take()
        return taken, asking.result()

    async def _write_requests(self) -> int:
        """How many there are; other teachers are served between the parts."""
        shutil.rmtree(self._requests, ignore_errors=True)
        requests, count = self.next_requests(), 0
        for number, first in enumerate(requests):
            part = self._requests / f"{number:06}.parquet"
            count += write_requests(part, chain([first], islice(requests, _PART - 1)))
            await asyncio.sleep(0)
        return count

    async def _take(self) -> int:
        """Merge the parts that are there into the store; how many replies they held."""
        taken = 0
        for part in reply_parts(self.folder):
            replies = await asyncio.to_thread(_read, part)
            await self.keep(replies)
            part.unlink()
            taken += len(replies)
        return taken

    @property
    def _requests(self) -> Path:
        return self.folder / "requests"

    @property
    def _replies(self) -> Path:
        return self.folder / _REPLIES


def reply_parts(folder: Path) -> list[Path]:
    """The parts of replies in a teacher's folder that the store may lack."""
    return sorted((folder / _REPLIES).glob("*.parquet"))


def _read(part: Path) -> list[Reply]:
    return list(read_replies(part))
