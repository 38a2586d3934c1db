"""Failures: a few wrong and unparsed rows of each run and task, with what the guard said. Pure.

A row file holds no benchmark's texts; they are shown where the items are given beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.pages.text import Cut, cut

PER_KIND = 3
_TRACE_CHARS = 1500
_TEXT_CHARS = 600
_WHERE_CHARS = 120
_WORD = {
    Subject.TURN: {True: "off-topic", False: "on-topic"},
    Subject.PROMPT: {True: "harmful", False: "unharmful"},
    Subject.RESPONSE: {True: "harmful", False: "unharmful"},
}
_KINDS: Mapping[str, pl.Expr] = {
    "false positives": pl.col("predicted") & ~pl.col("positive"),
    "false negatives": ~pl.col("predicted") & pl.col("positive"),
    "unparsed": pl.col("predicted").is_null(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One row."""

    item: str
    """Its key."""
    generation: int
    gold: str
    verdict: str
    """What was read; of an unparsed row, why nothing could be."""
    where: Cut
    """Category and domain, as far as there are any."""
    subject: Cut | None
    """What was judged; None where the items are not given."""
    trace: Cut
    answer: Cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Those of one kind, of a run and a task."""

    run: str
    task: str
    kind: str
    rows: int
    """How many there are, generations counted apart."""
    examples: tuple[Failure, ...]


def failures(runs: Sequence[Evaluated], items: Mapping[str, Item]) -> tuple[Failures, ...]:
    """By task, kind and run, those with the smallest keys; `items` by their keys, as many as are known."""
    found = [one for run in runs for task in run.tasks for one in _of(run, task, items)]
    order = list(_KINDS)
    return tuple(sorted(found, key=lambda one: (one.task, order.index(one.kind), one.run)))


def _of(run: Evaluated, task: str, items: Mapping[str, Item]) -> Iterator[Failures]:
    rows = run.run.rows.lazy().filter(pl.col("task") == task)
    for kind, is_one in _KINDS.items():
        wrong = rows.filter(is_one)
        count = wrong.select(pl.len()).collect().item()
        if count:
            drawn = wrong.sort("item", "generation").unique("item", keep="first", maintain_order=True).head(PER_KIND)
            examples = tuple(_failure(row, items.get(row["item"])) for row in drawn.collect().iter_rows(named=True))
            yield Failures(run=run.label, task=task, kind=kind, rows=count, examples=examples)


def _failure(row: Mapping[str, Any], item: Item | None) -> Failure:
    words = _WORD[Subject(row["subject"])]
    return Failure(
        item=row["item"],
        generation=row["generation"],
        gold=words[row["positive"]],
        verdict=row["parse"] if row["predicted"] is None else words[row["predicted"]],
        where=cut(", ".join(part for part in (row["category"], row["domain"]) if part), _WHERE_CHARS),
        subject=None if item is None else cut(_judged(item), _TEXT_CHARS),
        trace=cut(row["reasoning"] or "", _TRACE_CHARS),
        answer=cut(row["answer"] or "", _TEXT_CHARS),
    )


def _judged(item: Item) -> str:
    said = [f"{turn.role}: {turn.content}" for turn in item.history]
    return "\n\n".join([*said, item.prompt, *([] if item.response is None else [item.response])])
