"""One engine that several teachers' workers call: the judge's. It is opened at its first call."""

import asyncio
from collections.abc import Callable

from safety_reasoning.builders.calls import Reply, Request
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.teachers.protocol import Teacher


class SharedTeacher:
    """A `Teacher` that keeps to its own `concurrency`, however many call it."""

    def __init__(self, recipe: EngineRecipe, open_engine: Callable[[], Teacher]) -> None:
        self._slots = asyncio.Semaphore(recipe.concurrency)
        self._open = open_engine
        self._engine: Teacher | None = None

    async def ask(self, request: Request) -> Reply:
        """See `Teacher.ask`.

        Raises: also UsageError if the engine lacks a key or an optional dependency.
        """
        async with self._slots:
            self._engine = self._engine or self._open()
            return await self._engine.ask(request)

    async def close(self) -> None:
        """Close the engine, if it was opened."""
        if self._engine is not None:
            await self._engine.close()
