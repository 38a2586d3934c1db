"""Run: ask a guard about the items of tasks, and keep what it answered as one row file.

Everything that a person may have got wrong, the tasks' own counts among it, is looked at before a model is asked. The
replies are in the store; the run's folder is made again from it, to the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from safety_reasoning.builders.ask_many import ask_many
from safety_reasoning.builders.calls import Status, Step
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.store import Store, open_store
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.load import load_task
from safety_reasoning.eval.guards.guard import Guard, Rule
from safety_reasoning.eval.runs.answers import answer_row, rule_row
from safety_reasoning.eval.runs.asked import Asked
from safety_reasoning.eval.runs.folder import Run, refuse_other, write_run
from safety_reasoning.eval.runs.open import Opened, open_asked
from safety_reasoning.eval.runs.recipe import RunRecipe
from safety_reasoning.eval.runs.rows import SCHEMA
from safety_reasoning.eval.runs.stated import stated_run
from safety_reasoning.eval.runs.subset import Chosen, subset

_PART = 20_000
"""Rows that are dicts at a time."""


def run(recipe: RunRecipe, progress: Progress, ledger: Ledger, retry: Sequence[Status] = ()) -> Run:
    """Ask what the store lacks and put the run's folder into its place.

    `retry`: replies that ended so are asked for again.
    Raises: UsageError if the recipe, a task, the guard, the engine or a place cannot be used; Stopped, with every reply
    kept, if it was interrupted or a server did not answer.
    """
    out = Path(recipe.run.out)
    refuse_other(out)
    opened = open_asked(recipe.guard, recipe.engine, recipe.run)
    progress.stage("reading tasks")
    tasks = [_choose(recipe, name, opened.guard) for name in recipe.run.tasks]
    if isinstance(opened.guard, Rule):
        rows = _frame(_rule_rows(tasks, opened.guard, opened.policy))
    else:
        rows = _asked_rows(recipe, opened, tasks, progress, ledger, retry)
    return write_run(out, stated_run(recipe, opened, tasks), rows)


def _choose(recipe: RunRecipe, name: str, guard: Guard) -> Chosen:
    """A task that was read and held against its declaration.

    Raises: UsageError if it cannot be read, or the guard cannot judge it.
    """
    task = load_task(name, place=recipe.places.get(name), preset=recipe.presets.get(name), counts=recipe.run.counts)
    items = subset(task.items, recipe.run.limit, recipe.run.seed)
    foreign = sorted({item.subject for item in items} - guard.subjects)
    if foreign:
        raise UsageError(
            f"guard {guard.name} cannot judge {name}",
            why=f"it judges {', '.join(sorted(guard.subjects))}; the task's subject is {foreign[0]}",
            fix="leave the task out of run.tasks, or choose another guard",
        )
    return Chosen(task, items)


def _rule_rows(tasks: Sequence[Chosen], guard: Rule, policy: str | None) -> Iterator[dict[str, Any]]:
    for task in tasks:
        for item in task.items:
            yield rule_row(item, item if policy is None else replace(item, policy=policy), guard)


def _asked_rows(
    recipe: RunRecipe,
    opened: Opened,
    tasks: Sequence[Chosen],
    progress: Progress,
    ledger: Ledger,
    retry: Sequence[Status],
) -> pl.DataFrame:
    asked, engine = opened.asked, recipe.engine
    if asked is None or engine is None:
        raise TypeError("a guard with a model was opened without one")
    with open_store(recipe.store) as store:
        for status in retry:
            store.retire(status, teacher=asked.teacher, step=Step.GUARD)
        count = sum(len(task.items) for task in tasks)
        progress.stage(f"asking {opened.guard.name} {asked.generations} × about {count} items")
        requests = [request for task in tasks for request in asked.requests(task.items)]
        ask_many(engine, requests, store, progress, ledger)
        del requests
        progress.stage("writing the rows")
        return _frame(_reply_rows(tasks, asked, store, timed=opened.timed))


def _reply_rows(tasks: Sequence[Chosen], asked: Asked, store: Store, *, timed: bool) -> Iterator[dict[str, Any]]:
    for task in tasks:
        for item in task.items:
            judged = asked.put(item)
            for index, key in enumerate(asked.keys(item)):
                reply = store.get(key)
                if reply is None:
                    raise TypeError(f"the store has no reply {key} after every call was answered")
                yield answer_row(item, judged, asked.guard, replace(reply, sample_index=index), timed=timed)


def _frame(rows: Iterator[Mapping[str, Any]]) -> pl.DataFrame:
    """The rows as a frame, made in parts."""
    parts, part = [pl.DataFrame(schema=SCHEMA)], []
    for row in rows:
        part.append(row)
        if len(part) == _PART:
            parts.append(pl.DataFrame(part, schema=SCHEMA))
            part = []
    return pl.concat([*parts, pl.DataFrame(part, schema=SCHEMA)])
