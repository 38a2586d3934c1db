"""Generate: ask the teachers what the store does not hold yet.

A survey counts what is there and marks the samples that lack something; then workers, as many a teacher as its
recipe's `concurrency`, each follow one sample's chain of calls at a time.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

from safety_reasoning.builders.brakes import Brakes
from safety_reasoning.builders.calls import Reply, Request, Step
from safety_reasoning.builders.commit import Committer
from safety_reasoning.builders.follow import Follower, priced
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import EngineRecipe, Recipe, TeacherRecipe
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.spool import Spool
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.survey import Survey
from safety_reasoning.builders.teachers.protocol import BatchTeacher, Teacher, TeacherStopped
from safety_reasoning.builders.teachers.shared import SharedTeacher
from safety_reasoning.errors import Stopped, UsageError

OpenEngine = Callable[[EngineRecipe], Teacher | BatchTeacher]


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
    try:
        asyncio.run(run.all())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Stopped(f"stopped; {_left(ledger, store)}, run again to go on") from None
    if ledger.stopped:
        why = "\n".join(ledger.stopped.values())
        raise UsageError(why, fix=f"then run again: finished replies are not asked twice ({_left(ledger, store)})")
    if ledger.all().left and run.brakes.met():
        raise Stopped(
            f"{run.brakes.met()} is met; {_left(ledger, store)}; raise it in the recipe and run again to go on"
        )
    if ledger.unfinished:
        kinds = ", ".join(f"{n} × {kind}" for kind, n in sorted(ledger.unfinished.items()))
        raise Stopped(f"calls are unfinished ({kinds}); {_left(ledger, store)}, run again to go on")


def _left(ledger: Ledger, store: Store) -> str:
    return f"{len(store)} replies are kept, {ledger.all().left} calls are left"


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
        _stop_on_sigterm()
        self.store.set_progress([])
        self._merge_parts()
        self.brakes.spent = self.store.spent()
        for _ in self.survey.count(self.recipe.teachers):
            await asyncio.sleep(0)  # so that a signal is heard
        self.progress.asking(self.ledger)
        async with AsyncExitStack() as stack:
            committer = Committer(self.store, self._written, self.ledger.progressed)
            committing = asyncio.create_task(committer.run())
            asking = asyncio.create_task(self._ask_all(stack, committer))
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

    def _written(self, replies: Sequence[Reply]) -> None:
        """These replies are on disk."""
        self.ledger.answered(replies)
        self.progress.answered(self.ledger)

    async def _ask_all(self, stack: AsyncExitStack, committer: Committer) -> None:
        follower = self._follower(stack, committer)
        async with asyncio.TaskGroup() as group:
            for teacher in self.recipe.teachers:
                if not self.survey.lacks(teacher):
                    continue  # a finished teacher starts no server and needs no key
                if teacher.engine == "ray":
                    group.create_task(self._ask_in_waves(teacher, stack, follower))
                else:
                    self._start_workers(teacher, group, stack, follower)

    def _follower(self, stack: AsyncExitStack, committer: Committer) -> Follower:
        recipe, judge = self.recipe.judge, None
        if recipe is not None:
            judge = SharedTeacher(recipe, lambda: cast(Teacher, self.open_engine(recipe)))
            stack.push_async_callback(judge.close)
        return Follower(
            recipe=self.recipe,
            store=self.store,
            survey=self.survey,
            ledger=self.ledger,
            brakes=self.brakes,
            committer=committer,
            judge=judge,
        )

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

        opened: list[BatchTeacher] = []

        def engine() -> BatchTeacher:
            if not opened:
                opened.append(cast(BatchTeacher, self.open_engine(teacher)))
                stack.callback(opened[0].close)
            self.ledger.asked()
            return opened[0]

        async def keep(replies: Sequence[Reply]) -> None:
            new = {reply.key: priced(reply, teacher) for reply in replies if reply.key not in self.store}
            await follower.committer.put_all(list(new.values()))
            for reply in new.values():
                line = self.ledger.line(teacher.name, reply.step)
                line.in_flight = max(0, line.in_flight - 1)
                self.brakes.answered(reply, teacher)

        waves = Waves(
            engine=engine,
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

    def _merge_parts(self) -> None:
        """Replies that a batch engine left for the store when its run was killed; any engine may go on from there."""
        for teacher in self.recipe.teachers:
            if not self._parts(teacher).exists():
                continue
            from safety_reasoning.builders.parts import read_replies
            from safety_reasoning.builders.waves import reply_parts

            for part in reply_parts(self._parts(teacher)):
                self.store.append(priced(reply, teacher) for reply in read_replies(part))
                part.unlink()

    def _parts(self, teacher: TeacherRecipe) -> Path:
        return Path(teacher.ray.parts or f"{self.recipe.release.store}.parts") / teacher.name

    def _next_requests(self, teacher: TeacherRecipe) -> Iterator[Request]:
        """The first call of every chain that has no reply yet, as many as the budget has room for."""
        for _ in self.survey.count((teacher,)):
            pass
        for sample in islice(self.survey.lacking(teacher), self.brakes.room()):
            paused = resume(sample, teacher, self.recipe, self.store)
            if paused.call is not None and paused.call.step is not Step.JUDGE:
                self.ledger.line(teacher.name, paused.call.step).in_flight += 1
                yield paused.call.request(paused.key)


def _usage_error(group: ExceptionGroup[Exception]) -> UsageError | None:
    for error in group.exceptions:
        found = _usage_error(error) if isinstance(error, ExceptionGroup) else error
        if isinstance(found, UsageError):
            return found
    return None


def _stop_on_sigterm() -> None:
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":  # which has no such handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
