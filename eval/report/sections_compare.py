"""Runs held against each other in pairs. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.eval.scores.comparable import Difference, Ground, differences
from safety_reasoning.eval.scores.compare import Compared, compare
from safety_reasoning.eval.scores.policy import DEFAULT
from safety_reasoning.eval.scores.score import DRAWS
from safety_reasoning.pages.tables import Column, Row, Table

_ALL_PAIRS_UP_TO = 4
"""Runs; of more, each is held against the first."""
_PAIR = (Column("a", "run A"), Column("b", "run B"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two runs with a task in common."""

    a: str
    b: str
    differences: tuple[Difference, ...]
    """In what run.json states, besides the guard."""
    compared: tuple[Compared, ...]
    """By task; () where the runs are not compared, for what they differ in was not forced."""


def pairs_of(runs: Sequence[Evaluated], force: Collection[Ground], *, draws: int = DRAWS) -> tuple[Pair, ...]:
    """All pairs of a few runs, and each of many against the first, where they have a task in common."""
    few = len(runs) <= _ALL_PAIRS_UP_TO
    pairs = combinations(runs, 2) if few else ((runs[0], other) for other in runs[1:])
    return tuple(_pair(a, b, force, draws) for a, b in pairs if set(a.tasks) & set(b.tasks))


def _pair(a: Evaluated, b: Evaluated, force: Collection[Ground], draws: int) -> Pair:
    tasks = sorted(set(a.tasks) & set(b.tasks))
    differ = differences(a.run.stated, b.run.stated, tasks)
    refused = any(one.ground not in force for one in differ)
    first, second = (one.run.rows.filter(one.run.rows["task"].is_in(tasks)) for one in (a, b))
    compared = () if refused else tuple(compare(first, second, draws=draws))
    return Pair(a=a.label, b=b.label, differences=differ, compared=compared)


def comparison_tables(pairs: Sequence[Pair]) -> tuple[Table, ...]:
    """What was compared, and what was not."""
    return (_compared(pairs), _not_compared(pairs))


def _compared(pairs: Sequence[Pair]) -> Table:
    columns = (
        *_PAIR,
        *(Column("task", "task", "code"), Column("rows", "rows", "count"), Column("f1_a", "F1 of A", "ratio")),
        *(Column("f1_b", "F1 of B", "ratio"), Column("difference", "B less A", "ratio")),
        *(Column("low", "95% from", "ratio"), Column("high", "to", "ratio"), Column("f1_p", "p (Holm)", "ratio")),
        *(Column("a_better", "A right", "count"), Column("b_better", "B right", "count")),
        Column("mcnemar_p", "McNemar p (Holm)", "ratio"),
    )
    rows = tuple(_row(pair, one) for pair in pairs for one in pair.compared)
    return Table(
        name="compared",
        title="Runs in pairs, on the rows that both have",
        columns=columns,
        rows=rows,
        note=f"Answers without a verdict count as “{DEFAULT.value}”. The interval is a paired bootstrap's, over items;"
        " McNemar's test is exact, over the items on which one is right more often. p values are corrected for the"
        " tasks of the pair; 0.000 is below 0.0005.",
        empty="no two runs were compared",
    )


def _row(pair: Pair, one: Compared) -> Row:
    interval = one.difference.interval
    low, high = (interval.low, interval.high) if interval else (None, None)
    values = (one.f1_a.value, one.f1_b.value, one.difference.value, low, high, one.f1.holm)
    return (pair.a, pair.b, one.task, one.rows, *values, one.a_better, one.b_better, one.mcnemar.holm)


def _not_compared(pairs: Sequence[Pair]) -> Table:
    rows = tuple(
        (pair.a, pair.b, one.ground.value, str(one), "yes" if pair.compared else "no")
        for pair in pairs
        for one in pair.differences
    )
    return Table(
        name="differences",
        title="In what the runs differ besides the guard",
        columns=(*_PAIR, Column("ground", "ground", "code"), Column("what", "what"), Column("compared", "compared")),
        rows=rows,
        note="Runs that differ so are compared only where that is forced, ground by ground (--force prompt).",
        empty="no two runs on one task differ in data, labels, parse policy, prompt or sampling",
        folded=True,
    )
