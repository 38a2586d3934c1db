"""Grids: the tables of the paper again, each cell from runs and beside it what was printed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.eval.report.paper_tables import Cell, Measure, PaperColumn, PaperRow, PaperTable

NOT_RUN = "not run"
_OTHERS = "Runs of models that the paper does not have"
_WITH_OTHERS = frozenset((1, 3, 5, 6, 7))
"""Tables that have a row for other models' runs: between them every column once."""
_FIRST: Mapping[int, str] = {4: "Training samples"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What runs give for a cell."""

    value: float
    low: float | None = None
    """The interval's ends, 95%, over rows."""
    high: float | None = None
    std: float | None = None
    """Over generations; None where there is one."""


class Results(Protocol):
    """What the runs of a report give."""

    def estimate(self, runs: Sequence[Evaluated], of: str, measure: Measure) -> Estimate | str:
        """A task's or an average's, or in words what of it there is no run of."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCell:
    """A cell of a table, again."""

    estimate: Estimate | None
    missing: str = ""
    """What there is in place of an estimate: `not run`, `3 of 9 tasks`."""
    paper: Cell | None = None

    @property
    def run(self) -> str:
        """The estimate as people read it; '' without one."""
        return "" if self.estimate is None else f"{self.estimate.value:.3f}"

    @property
    def near(self) -> str:
        """How sure it is: the interval, and the standard deviation over generations."""
        if self.estimate is None:
            return ""
        low, high, std = self.estimate.low, self.estimate.high, self.estimate.std
        parts = [
            "" if low is None or high is None else f"{low:.3f}–{high:.3f}",
            "" if std is None else f"sd {std:.3f}",
        ]
        return ", ".join(filter(None, parts))

    @property
    def printed(self) -> str:
        """The paper's number, as printed."""
        return "" if self.paper is None else str(self.paper.value)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        found = self.estimate
        return {
            "paper": None if self.paper is None else float(self.paper.value),
            "run": None if found is None else round(found.value, 4),
            "low": _rounded(None if found is None else found.low),
            "high": _rounded(None if found is None else found.high),
            "std": _rounded(None if found is None else found.std),
            "missing": self.missing,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRow:
    """A row of a table, again."""

    name: str
    """The model's; a run's label where the paper has no such model."""
    title: str
    group: str
    runs: tuple[str, ...]
    """Labels of the runs that are of this model."""
    cells: tuple[GridCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table, again."""

    number: int
    title: str
    first: str
    """Above the rows' titles."""
    columns: tuple[PaperColumn, ...]
    rows: tuple[GridRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[GridCell, ...]:
        """Those that the paper has."""
        return tuple(cell for row in self.rows for cell in row.cells if cell.paper is not None)

    @property
    def regenerated(self) -> int:
        """How many of them a run gives."""
        return sum(cell.estimate is not None for cell in self.cells)

    @property
    def of_runs(self) -> bool:
        """Whether a run gives anything in it."""
        return any(cell.estimate is not None for row in self.rows for cell in row.cells)

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """What stands above columns, and above how many."""
        return tuple((group, len(list(columns))) for group, columns in groupby(self.columns, lambda one: one.group))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; cells by the column's name."""
        names = [column.name for column in self.columns]
        return {
            "title": self.title,
            "notes": list(self.notes),
            "columns": [
                {"name": one.name, "title": one.title, "group": one.group, "of": one.of} for one in self.columns
            ],
            "rows": [
                {
                    "name": row.name,
                    "title": row.title,
                    "runs": list(row.runs),
                    "cells": {name: cell.as_json() for name, cell in zip(names, row.cells, strict=True)},
                }
                for row in self.rows
            ],
        }


def grid(table: PaperTable, runs: Sequence[Evaluated], results: Results) -> Grid:
    """A table of the paper from the runs: its rows, then those of the runs that it has something of and no row for."""
    ours = [_row(table, row, runs, results) for row in table.rows]
    others = [_other(table, one, results) for one in runs if one.model is None and table.number in _WITH_OTHERS]
    notes = [table.note, *(f"{row.title}: {row.note}" for row in table.rows if row.note)]
    return Grid(
        number=table.number,
        title=f"Table {table.number}: {table.title}",
        first=_FIRST.get(table.number, "Model"),
        columns=table.columns,
        rows=(*ours, *(row for row in others if any(cell.estimate for cell in row.cells))),
        notes=tuple(filter(None, notes)),
    )


def _row(table: PaperTable, row: PaperRow, runs: Sequence[Evaluated], results: Results) -> GridRow:
    mine = [one for one in runs if one.model is not None and one.model.name == row.name]
    cells = tuple(_cell(mine, column, cell, results) for column, cell in zip(table.columns, row.cells, strict=True))
    labels = tuple(one.label for one in mine)
    return GridRow(name=row.name, title=row.title, group=row.group, runs=labels, cells=cells)


def _other(table: PaperTable, one: Evaluated, results: Results) -> GridRow:
    cells = tuple(_cell([one], column, None, results) for column in table.columns)
    return GridRow(name=one.label, title=one.label, group=_OTHERS, runs=(), cells=cells)


def _cell(runs: Sequence[Evaluated], column: PaperColumn, paper: Cell | None, results: Results) -> GridCell:
    if not runs:
        return GridCell(estimate=None, missing=NOT_RUN, paper=paper)
    found = results.estimate(runs, column.of, column.measure)
    if isinstance(found, str):
        return GridCell(estimate=None, missing=found, paper=paper)
    return GridCell(estimate=found, paper=paper)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
