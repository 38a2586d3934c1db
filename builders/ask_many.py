"""Ask many: requests that depend on no other's reply, asked as far as the store lacks theirs."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import cast

from safety_reasoning.builders.ask import open_teacher
from safety_reasoning.builders.asking import (
    Desk,
    OpenEngine,
    at_desk,
    merge_parts,
    parts_folder,
    run_to_end,
    stop_on_sigterm,
)
from safety_reasoning.builders.brakes import Brakes
from safety_reasoning.builders.calls import Reply, Request
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import Budget, EngineRecipe
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.teachers.protocol import Teacher, TeacherStopped

_PAUSE = 1000
"""Keys that are looked up before other tasks, a signal's among them, are let in."""


def ask_many(
    recipe: EngineRecipe, requests: Sequence[Request], store: Store, progress: Progress, ledger: Ledger
) -> None:
    """Fill the store with a reply to every request; `ledger` says what became of them, however it ends.

    Requests of one key are one. They are asked in the order given, but of engine `transformers`, which pads a batch to
    its longest: there those of like length come together. Where the store holds all replies, no engine is opened.

    Raises: Stopped with what is left if it was interrupted or a server did not answer; UsageError if the engine lacks
    something, a server refuses all calls or the store cannot be written. What was answered is in the store.
    """
    if recipe.engine == "transformers":
        requests = sorted(requests, key=_chars)
    brakes = Brakes(Budget(), store.spent(), ledger)
    run = _Run(recipe, {request.key: request for request in requests}, store, progress, ledger, brakes, open_teacher)
    run_to_end(run.all(), store, ledger, brakes)


@dataclass(slots=True)
class _Run:
    """One run over the store."""

    recipe: EngineRecipe
    requests: dict[str, Request]
    """By key."""
    store: Store
    progress: Progress
    ledger: Ledger
    brakes: Brakes
    open_engine: OpenEngine

    async def all(self) -> None:
        """Ask everything; raises UsageError."""
        stop_on_sigterm()
        self.store.set_progress([])
        merge_parts(self.recipe, self.store, parts_folder(self.recipe, self.store.path))
        lacking = await self._count()
        self.progress.asking(self.ledger)
        if lacking:
            await at_desk(self.store, self.progress, self.ledger, self.brakes, self._ask)

    async def _count(self) -> bool:
        """Whether the store lacks a reply; all calls go into the ledger."""
        lacking = False
        for number, request in enumerate(self.requests.values()):
            one = Counter([request.step])
            self.ledger.plan(request.teacher, one)
            if request.key in self.store:
                self.ledger.found(request.teacher, one)
            else:
                lacking = True
            if number % _PAUSE == 0:
                await asyncio.sleep(0)
        return lacking

    def _lacking(self) -> Iterator[Request]:
        """What the store lacks, looked up one by one, in the order given."""
        return (request for request in self.requests.values() if request.key not in self.store)

    async def _ask(self, desk: Desk, stack: AsyncExitStack) -> None:
        if self.recipe.engine == "ray":
            await self._ask_in_waves(desk, stack)
            return
        engine = cast(Teacher, self.open_engine(self.recipe))
        stack.push_async_callback(engine.close)
        requests = self._lacking()  # every worker takes from the same iterator
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.recipe.concurrency, self.ledger.all().left)):
                group.create_task(self._work(desk, engine, requests))

    async def _work(self, desk: Desk, engine: Teacher, requests: Iterator[Request]) -> None:
        for request in requests:
            if self.brakes.hold(self.recipe.name):
                return
            await desk.ask(request, self.recipe, engine)

    async def _ask_in_waves(self, desk: Desk, stack: AsyncExitStack) -> None:
        from safety_reasoning.builders.waves import Waves  # it brings pyarrow, 40 MB that other engines do without

        async def keep(replies: Sequence[Reply]) -> None:
            await desk.keep(replies, self.recipe)

        waves = Waves(
            engine=desk.opener(self.recipe, self.open_engine, stack),
            folder=parts_folder(self.recipe, self.store.path),
            prepare=_nothing,
            next_requests=self._wave,
            keep=keep,
            enough=lambda: self.brakes.stop(self.recipe.name),
        )
        try:
            unfinished = await waves.run()
        except TeacherStopped as error:
            self.ledger.stopped[self.recipe.name] = str(error)
        else:
            self.ledger.unfinished.update({f"{self.recipe.name}: {kind}": n for kind, n in unfinished.items()})

    def _wave(self) -> Iterator[Request]:
        for request in self._lacking():
            self.ledger.line(request.teacher, request.step).in_flight += 1
            yield request


def _chars(request: Request) -> int:
    return sum(len(message.content) for message in request.chat) if not request.raw else len(request.text)


async def _nothing() -> None:
    """No wave of these waits for another."""
