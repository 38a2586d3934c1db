"""What became of a run's rows, task by task: how many have a verdict, and why the others have none. No score. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from safety_reasoning.eval.runs.rows import OK


@dataclass(frozen=True, slots=True)
class TaskRows:
    """The rows of one task."""

    task: str
    parse: Mapping[str, int]
    """Rows by their column `parse`."""
    with_probability: int

    def __str__(self) -> str:
        rows = sum(self.parse.values())
        without = ", ".join(f"{count} × {code}" for code, count in self.parse.items() if code != OK)
        unread = f"; without: {without}" if without else ""
        return (
            f"{self.task}: {self.parse.get(OK, 0)} of {rows} rows have a verdict, "
            f"{self.with_probability} a probability{unread}"
        )

    def as_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {"rows": sum(self.parse.values()), "parse": dict(self.parse), "with_probability": self.with_probability}


def summary(rows: pl.DataFrame) -> list[TaskRows]:
    """One a task, sorted by name."""
    counts = rows.group_by("task", "parse").agg(pl.len(), pl.col("probability").count()).sort("task", "parse")
    found: dict[str, TaskRows] = {}
    for task, parse, count, known in counts.iter_rows():
        before = found.get(task, TaskRows(task, {}, 0))
        found[task] = TaskRows(task, {**before.parse, parse: count}, before.with_probability + known)
    return list(found.values())
