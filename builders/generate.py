"""Generate: ask the teachers what the store does not hold yet.

Workers, as many a teacher as its recipe's `concurrency`, take calls off one list; a single committer writes
the replies that have come meanwhile in one transaction. A worker goes on only when its reply is on disk, so
whatever stops the run, at most `concurrency` calls are asked again.
"""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from safety_reasoning.builders.calls import Call, Reply
from safety_reasoning.builders.plan import efficient_call, first_calls, full_call
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.teachers.protocol import CallUnfinished, Teacher, TeacherStopped
from safety_reasoning.errors import Stopped, UsageError

_GROUP = 64
"""Replies in one commit, at most."""
_GIVE_UP_AFTER = 8
"""Calls in a row that a teacher leaves unfinished before the run stops asking it."""

_Answered = tuple[Call, Reply, "asyncio.Future[None]"]
"""The future is done when the reply is on disk."""
_Queue = asyncio.Queue[_Answered | None]
"""None ends it."""


@dataclass(slots=True)
class Outcome:
    """What a run left undone."""

    unfinished: Counter[str] = field(default_factory=Counter)
    """Calls by teacher and kind of failure, which the next run asks again."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Teachers that answer nothing, and why."""


def generate(
    recipe: Recipe,
    samples: Sequence[Sample],
    store: Store,
    progress: Progress,
    open_teacher: Callable[[TeacherRecipe], Teacher],
) -> None:
    """Fill the store with a reply for every call of the recipe.

    Raises: Stopped with what is left if it was interrupted or a server did not answer; UsageError if a
    teacher refuses all calls or the store cannot be written. What was answered is in the store.
    """
    try:
        outcome = asyncio.run(_generate(recipe, samples, store, progress, open_teacher))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Stopped(f"stopped; {len(store)} replies are kept, run again to go on") from None
    if outcome.stopped:
        why = "\n".join(outcome.stopped.values())
        raise UsageError(why, fix="then run again: finished replies are kept and not asked twice")
    if outcome.unfinished:
        raise Stopped(_unfinished(outcome, len(store)))


async def _generate(
    recipe: Recipe,
    samples: Sequence[Sample],
    store: Store,
    progress: Progress,
    open_teacher: Callable[[TeacherRecipe], Teacher],
) -> Outcome:
    _stop_on_sigterm()
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        teachers: dict[str, Teacher] = {}

        def teacher(name: str) -> Teacher:
            """Opened at its first call: a finished run starts no server and needs no key."""
            if name not in teachers:
                wanted = next(t for t in recipe.teachers if t.name == name)
                teachers[name] = open_teacher(wanted)
                stack.push_async_callback(teachers[name].close)
            return teachers[name]

        run = _Run(store, progress, outcome, teacher, {t.name: t.concurrency for t in recipe.teachers})
        await run.all(first_calls(recipe, samples))
        await run.all(_efficient_calls(recipe, samples, store))
    return outcome


def _efficient_calls(recipe: Recipe, samples: Sequence[Sample], store: Store) -> Iterator[Call]:
    for sample in samples:
        for teacher in recipe.teachers:
            call = efficient_call(sample, teacher, store.get(full_call(sample, teacher).key))
            if call is not None:
                yield call


def _stop_on_sigterm() -> None:
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":  # which has no such handlers
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _unfinished(outcome: Outcome, kept: int) -> str:
    counts = ", ".join(f"{n} × {kind}" for kind, n in sorted(outcome.unfinished.items()))
    return f"{sum(outcome.unfinished.values())} calls are unfinished ({counts}); {kept} replies are kept, run again"


@dataclass(slots=True)
class _Run:
    """One run over the store."""

    store: Store
    progress: Progress
    outcome: Outcome
    teacher: Callable[[str], Teacher]
    concurrency: Mapping[str, int]

    async def all(self, calls: Iterable[Call]) -> None:
        """Ask every call that the store lacks, all teachers at once; what is answered is committed."""
        todo = self._missing(calls)
        teachers = {name: self.teacher(name) for name in todo if name not in self.outcome.stopped}
        answered: _Queue = asyncio.Queue()
        committer = asyncio.create_task(self._commit(answered))
        asking = asyncio.create_task(self._ask(teachers, todo, answered))
        try:
            await asyncio.wait({committer, asking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()  # done already, unless the run is being stopped or the committer failed
            await asyncio.gather(asking, return_exceptions=True)
            answered.put_nowait(None)
            await committer
        asking.result()

    def _missing(self, calls: Iterable[Call]) -> dict[str, list[Call]]:
        todo: dict[str, list[Call]] = {}
        totals: Counter[tuple[str, str]] = Counter()
        missing: Counter[tuple[str, str]] = Counter()
        for call in calls:
            totals[call.teacher, call.step] += 1
            if call.key not in self.store:
                missing[call.teacher, call.step] += 1
                todo.setdefault(call.teacher, []).append(call)
        for (name, step), total in totals.items():
            self.progress.expect(name, step, total=total, done=total - missing[name, step])
        return todo

    async def _ask(self, teachers: Mapping[str, Teacher], todo: Mapping[str, list[Call]], answered: _Queue) -> None:
        async with asyncio.TaskGroup() as group:
            for name, teacher in teachers.items():
                pending, failures = iter(todo[name]), Counter[str]()
                for _ in range(min(self.concurrency[name], len(todo[name]))):
                    group.create_task(self._work(name, teacher, pending, failures, answered))

    async def _work(
        self,
        name: str,
        teacher: Teacher,
        pending: Iterator[Call],
        failures: Counter[str],
        answered: _Queue,
    ) -> None:
        for call in pending:
            if failures[name] >= _GIVE_UP_AFTER or name in self.outcome.stopped:
                self.outcome.unfinished[f"{name}: not asked"] += 1
                continue
            try:
                reply = await teacher.ask(call)
            except CallUnfinished as error:
                failures[name] += 1
                self.outcome.unfinished[f"{name}: {error}"] += 1
            except TeacherStopped as error:
                self.outcome.stopped[name] = str(error)
            else:
                failures[name] = 0
                committed = asyncio.get_running_loop().create_future()
                answered.put_nowait((call, reply, committed))
                await committed

    async def _commit(self, answered: _Queue) -> None:
        more = True
        while more:
            group, more = await _next_group(answered)
            if group:
                await asyncio.to_thread(self.store.append, [(call, reply) for call, reply, _ in group])
            for call, reply, committed in group:
                self.progress.answered(call.teacher, call.step, reply)
                if not committed.done():  # it is, where its worker was cancelled
                    committed.set_result(None)


async def _next_group(answered: _Queue) -> tuple[list[_Answered], bool]:
    """The replies that wait to be committed, at least one, and whether there may be more."""
    group: list[_Answered] = []
    item = await answered.get()
    while item is not None:
        group.append(item)
        if len(group) == _GROUP or answered.empty():
            return group, True
        item = answered.get_nowait()
    return group, False
