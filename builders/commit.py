"""Commit: replies that come one by one, written in groups, each known to be on disk before its worker goes on."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from safety_reasoning.builders.calls import Reply
from safety_reasoning.builders.finished import Ended
from safety_reasoning.builders.store import Progressed, Store

_GROUP = 64
"""Replies in one transaction, at most."""
_PROGRESS_EVERY_S = 1.0

_Waiting = tuple[Reply, "asyncio.Future[None]"]


class Committer:
    """Writes whatever has come meanwhile, without waiting for more."""

    def __init__(
        self, store: Store, written: Callable[[Sequence[Reply]], None], progress: Callable[[], list[Progressed]]
    ) -> None:
        self._store = store
        self._written = written
        self._progress = progress
        self._told_s = 0.0
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._ended: dict[str, Ended] = {}

    async def put(self, reply: Reply) -> None:
        """Return when the reply is on disk."""
        on_disk = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((reply, on_disk))
        await on_disk

    async def put_all(self, replies: Sequence[Reply]) -> None:
        """Return when all of them are on disk."""
        await asyncio.gather(*(self.put(reply) for reply in replies))

    def note(self, key: str, ended: Ended) -> None:
        """A chain has ended; written with the next replies, or at the end."""
        self._ended[key] = ended

    def end(self) -> None:
        """No more replies come; `run` ends when those that came are written."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Write until `end`.

        Raises: UsageError if the store cannot be written.
        """
        more = True
        while more:
            try:
                group, more = await asyncio.wait_for(self._group(), _PROGRESS_EVERY_S)
            except TimeoutError:  # nothing came: what is in flight may have changed
                group = []
            replies = [reply for reply, _ in group]
            progress = self._progress() if self._is_time() or not more else None
            ended, self._ended = self._ended, {}
            await asyncio.to_thread(self._write, replies, progress, ended)
            if replies:
                self._written(replies)
            for _, on_disk in group:
                if not on_disk.done():  # it is, where its worker was cancelled
                    on_disk.set_result(None)

    def _write(self, replies: Sequence[Reply], progress: list[Progressed] | None, ended: Mapping[str, Ended]) -> None:
        if replies:
            self._store.append(replies)
        self._store.note_finished(ended)
        if progress is not None:
            self._store.set_progress(progress)

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._told_s < _PROGRESS_EVERY_S:
            return False
        self._told_s = now
        return True

    async def _group(self) -> tuple[list[_Waiting], bool]:
        """The replies that wait, at least one unless it is the end, and whether there may be more."""
        group: list[_Waiting] = []
        item = await self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == _GROUP or self._queue.empty():
                return group, True
            item = self._queue.get_nowait()
        return group, False
