"""Asking: what every run over a store does alike, whatever it asks.

A reply is on disk before its worker goes on, a signal stops the run with everything finished kept, and what is left
is said in one way.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from safety_reasoning.builders.brakes import Brakes
from safety_reasoning.builders.calls import Reply, Request
from safety_reasoning.builders.commit import Committer
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.teachers.protocol import BatchTeacher, CallUnfinished, Teacher, TeacherStopped
from safety_reasoning.errors import Stopped, UsageError

OpenEngine = Callable[[EngineRecipe], Teacher | BatchTeacher]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where the calls of one run go out and their replies are kept and counted."""

    store: Store
    progress: Progress
    ledger: Ledger
    brakes: Brakes
    committer: Committer

    async def ask(self, request: Request, asked: EngineRecipe, engine: Teacher) -> Reply | None:
        """The reply, on disk; None where there is none to be had now."""
        if self.brakes.hold(asked.name):
            return None
        line = self.ledger.line(request.teacher, request.step)
        line.in_flight += 1
        self.ledger.asked()
        try:
            reply = priced(await engine.ask(request), asked)
            await self.committer.put(reply)
            self.brakes.answered(reply, asked)
        except CallUnfinished as error:
            self.brakes.unfinished(asked.name)
            self.ledger.unfinished[f"{asked.name}: {error}"] += 1
            return None
        except TeacherStopped as error:
            self.ledger.stopped[asked.name] = str(error)
            return None
        finally:
            line.in_flight -= 1
        return reply

    async def keep(self, replies: Sequence[Reply], asked: EngineRecipe) -> None:
        """Return when these replies, which a batch engine gave, are on disk."""
        new = {reply.key: priced(reply, asked) for reply in replies if reply.key not in self.store}
        await self.committer.put_all(list(new.values()))
        for reply in new.values():
            line = self.ledger.line(reply.teacher, reply.step)
            line.in_flight = max(0, line.in_flight - 1)
            self.brakes.answered(reply, asked)

    def opener(self, asked: EngineRecipe, open_engine: OpenEngine, stack: AsyncExitStack) -> Callable[[], BatchTeacher]:
        """Opens a batch engine at its first wave; `stack` closes it."""
        opened: list[BatchTeacher] = []

        def engine() -> BatchTeacher:
            if not opened:
                opened.append(cast(BatchTeacher, open_engine(asked)))
                stack.callback(opened[0].close)
            self.ledger.asked()
            return opened[0]

        return engine


def priced(reply: Reply, asked: EngineRecipe) -> Reply:
    """The reply with what it cost by the recipe's price table."""
    if asked.price is None:
        return reply
    return replace(reply, cost_usd=asked.price.of(reply.prompt_tokens, reply.completion_tokens))


def run_to_end(work: Coroutine[object, object, None], store: Store, ledger: Ledger, brakes: Brakes) -> None:
    """Do the work of a run in an event loop of its own.

    Raises: Stopped with what is left if it was interrupted, met its budget or a server did not answer; UsageError
    if a teacher refuses all calls or the store cannot be written. What was answered is in the store.
    """
    try:
        asyncio.run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Stopped(f"stopped; {_left(ledger, store)}, run again to go on") from None
    if ledger.stopped:
        why = "\n".join(ledger.stopped.values())
        raise UsageError(why, fix=f"then run again: finished replies are not asked twice ({_left(ledger, store)})")
    if ledger.all().left and brakes.met():
        raise Stopped(f"{brakes.met()} is met; {_left(ledger, store)}; raise it in the recipe and run again to go on")
    if ledger.unfinished:
        kinds = ", ".join(f"{n} × {kind}" for kind, n in sorted(ledger.unfinished.items()))
        raise Stopped(f"calls are unfinished ({kinds}); {_left(ledger, store)}, run again to go on")


def _left(ledger: Ledger, store: Store) -> str:
    return f"{len(store)} replies are kept, {ledger.all().left} calls are left"


async def at_desk(
    store: Store,
    progress: Progress,
    ledger: Ledger,
    brakes: Brakes,
    ask: Callable[[Desk, AsyncExitStack], Awaitable[None]],
) -> None:
    """Ask until `ask` ends or the store cannot be written; `ask` puts what it opens into the stack.

    Raises: UsageError, the first one where there are several.
    """

    def written(replies: Sequence[Reply]) -> None:
        ledger.answered(replies)
        progress.answered(ledger)

    async with AsyncExitStack() as stack:
        committer = Committer(store, written, ledger.progressed)
        desk = Desk(store=store, progress=progress, ledger=ledger, brakes=brakes, committer=committer)
        committing = asyncio.create_task(committer.run())
        asking = asyncio.ensure_future(ask(desk, stack))
        try:
            await asyncio.wait({committing, asking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()  # done already, unless the run is being stopped or the committer failed
            await asyncio.gather(asking, return_exceptions=True)
            committer.end()
            await committing
        try:
            asking.result()
        except ExceptionGroup as group:
            raise _usage_error(group) or group from None


def _usage_error(group: ExceptionGroup[Exception]) -> UsageError | None:
    for error in group.exceptions:
        found = _usage_error(error) if isinstance(error, ExceptionGroup) else error
        if isinstance(found, UsageError):
            return found
    return None


def stop_on_sigterm() -> None:
    """Let a SIGTERM cancel the task that runs now."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":  # which has no such handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def parts_folder(asked: EngineRecipe, store: Path | str) -> Path:
    """Where a batch engine's requests and replies are on their way."""
    return Path(asked.ray.parts or f"{store}.parts") / asked.name


def merge_parts(asked: EngineRecipe, store: Store, folder: Path) -> None:
    """Replies that a batch engine left for the store when its run was killed; any engine may go on from there."""
    if not folder.exists():
        return
    from safety_reasoning.builders.parts import read_replies  # pyarrow: 40 MB that other engines do without
    from safety_reasoning.builders.waves import reply_parts

    for part in reply_parts(folder):
        store.append(priced(reply, asked) for reply in read_replies(part))
        part.unlink()
