"""Generate: ask the teachers what the store does not hold yet.

A survey counts what is there and marks the samples that lack something; then workers, as many a teacher as its
recipe's `concurrency`, each follow one sample's chain of calls at a time.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

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
from safety_reasoning.builders.calls import Reply, Request, Step
from safety_reasoning.builders.follow import Follower
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.spool import Spool
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.survey import Survey
from safety_reasoning.builders.teachers.protocol import Teacher, TeacherStopped
from safety_reasoning.builders.teachers.shared import SharedTeacher


def generate(
    recipe: Recipe, samples: Spool, store: Store, progress: Progress, open_engine: OpenEngine, ledger: Ledger
) -> None:
    """Fill the store with a reply for every call of the recipe; `ledger` says what became of it, however it ends.

    Raises: Stopped with what is left if it was interrupted, met its budget or a server did not answer; UsageError
    if a teacher refuses all calls or the store cannot be written. What was answered is in the store.
    """
    run = _Run(
        recipe,
        store,
        progress,
        ledger,
        open_engine,
        Survey(recipe, samples, store, ledger),
        Brakes(recipe.budget, store.spent(), ledger),
    )
    run_to_end(run.all(), store, ledger, run.brakes)


@dataclass(slots=True)
class _Run:
    """One run over the store."""

    recipe: Recipe
    store: Store
    progress: Progress
    ledger: Ledger
    open_engine: OpenEngine
    survey: Survey
    brakes: Brakes

    async def all(self) -> None:
        """Ask everything.

        Raises: UsageError, the first one where there are several.
        """
        stop_on_sigterm()
        self.store.set_progress([])
        for teacher in self.recipe.teachers:
            merge_parts(teacher, self.store, self._parts(teacher))
        self.brakes.spent = self.store.spent()
        for _ in self.survey.count(self.recipe.teachers):
            await asyncio.sleep(0)  # so that a signal is heard
        self.progress.asking(self.ledger)
        await at_desk(self.store, self.progress, self.ledger, self.brakes, self._ask_all)

    async def _ask_all(self, desk: Desk, stack: AsyncExitStack) -> None:
        follower = self._follower(desk, stack)
        async with asyncio.TaskGroup() as group:
            for teacher in self.recipe.teachers:
                if not self.survey.lacks(teacher):
                    continue  # a finished teacher starts no server and needs no key
                if teacher.engine == "ray":
                    group.create_task(self._ask_in_waves(teacher, stack, follower))
                else:
                    self._start_workers(teacher, group, stack, follower)

    def _follower(self, desk: Desk, stack: AsyncExitStack) -> Follower:
        recipe, judge = self.recipe.judge, None
        if recipe is not None:
            judge = SharedTeacher(recipe, lambda: cast(Teacher, self.open_engine(recipe)))
            stack.push_async_callback(judge.close)
        return Follower(recipe=self.recipe, survey=self.survey, desk=desk, judge=judge)

    def _start_workers(
        self, teacher: TeacherRecipe, group: asyncio.TaskGroup, stack: AsyncExitStack, follower: Follower
    ) -> None:
        engine = cast(Teacher, self.open_engine(teacher))
        stack.push_async_callback(engine.close)
        samples = self.survey.lacking(teacher)  # every worker takes from the same iterator
        for _ in range(min(teacher.concurrency, self.survey.lacks(teacher))):
            group.create_task(self._work(teacher, engine, samples, follower))

    async def _work(
        self, teacher: TeacherRecipe, engine: Teacher | None, samples: Iterator[Sample], follower: Follower
    ) -> None:
        for sample in samples:
            if self.brakes.hold(teacher.name):
                return
            await follower.follow(sample, teacher, engine)

    async def _ask_in_waves(self, teacher: TeacherRecipe, stack: AsyncExitStack, follower: Follower) -> None:
        from safety_reasoning.builders.waves import Waves  # it brings pyarrow, 40 MB that other engines do without

        async def keep(replies: Sequence[Reply]) -> None:
            await follower.desk.keep(replies, teacher)

        waves = Waves(
            engine=follower.desk.opener(teacher, self.open_engine, stack),
            folder=self._parts(teacher),
            prepare=lambda: self._ask_judge(teacher, follower),
            next_requests=lambda: self._next_requests(teacher),
            keep=keep,
            enough=lambda: self.brakes.stop(teacher.name),
        )
        try:
            unfinished = await waves.run()
        except TeacherStopped as error:
            self.ledger.stopped[teacher.name] = str(error)
        else:
            for _ in self.survey.count((teacher,)):
                await asyncio.sleep(0)
            self.ledger.unfinished.update({f"{teacher.name}: {kind}": n for kind, n in unfinished.items()})

    async def _ask_judge(self, teacher: TeacherRecipe, follower: Follower) -> None:
        """Ask the judge about every trace of the teacher that waits for it."""
        if self.recipe.judge is None:
            return
        for _ in self.survey.count((teacher,)):
            await asyncio.sleep(0)
        samples = self.survey.lacking(teacher)
        async with asyncio.TaskGroup() as group:
            for _ in range(self.recipe.judge.concurrency):
                group.create_task(self._work(teacher, None, samples, follower))

    def _parts(self, teacher: TeacherRecipe) -> Path:
        return parts_folder(teacher, self.recipe.release.store)

    def _next_requests(self, teacher: TeacherRecipe) -> Iterator[Request]:
        """The first call of every chain that has no reply yet, as many as the budget has room for."""
        for _ in self.survey.count((teacher,)):
            pass
        for sample in islice(self.survey.lacking(teacher), self.brakes.room()):
            paused = resume(sample, teacher, self.recipe, self.store)
            if paused.call is not None and paused.call.step is not Step.JUDGE:
                self.ledger.line(teacher.name, paused.call.step).in_flight += 1
                yield paused.call.request(paused.key)
