"""F1 of the parts of tasks: by category, domain and length. Pure."""

from collections.abc import Iterator, Sequence

import polars as pl

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.eval.scores.groups import By, parts
from safety_reasoning.eval.scores.measure import Metric
from safety_reasoning.eval.scores.policy import DEFAULT
from safety_reasoning.eval.scores.score import score_task
from safety_reasoning.pages.tables import Column, Row, Table

MOST = 12
"""Parts of a task that are shown, the largest: benchmarks name up to hundreds of categories."""
_TITLES = {By.CATEGORY: "category", By.DOMAIN: "domain", By.LENGTH: "characters"}


def part_tables(runs: Sequence[Evaluated]) -> tuple[Table, ...]:
    """One table for each way to part a task; a task that has one part alone is not in it."""
    return tuple(_table(runs, by) for by in By)


def _table(runs: Sequence[Evaluated], by: By) -> Table:
    columns = (
        *(Column("task", "task", "code"), Column("part", _TITLES[by]), Column("run", "run")),
        *(Column("rows", "rows", "count"), Column("positives", "positive", "count")),
        *(Column("f1", "F1", "ratio"), Column("recall", "recall", "ratio"), Column("fpr", "FPR", "ratio")),
    )
    return Table(
        name=f"by_{by.value}",
        title=f"By {_TITLES[by]}",
        columns=columns,
        rows=tuple(sorted((row for run in runs for row in _rows(run, by)), key=lambda row: str(row[0]))),
        note=f"Of a task with more parts, the {MOST} largest.",
        empty="no task has several parts",
        folded=True,
    )


def _rows(run: Evaluated, by: By) -> Iterator[Row]:
    for task in run.tasks:
        found = dict(parts(run.run.rows.filter(pl.col("task") == task), by))
        largest = sorted(found, key=lambda name: -found[name].height)[:MOST]
        for name in (name for name in found if name in largest and len(found) > 1):
            score = score_task(found[name], policy=DEFAULT, draws=0)
            measures = (score.measures[metric].value for metric in (Metric.F1, Metric.RECALL, Metric.FPR))
            yield (task, name, run.label, score.rows, score.positives, *measures)
