"""The report on runs: everything that is said of them, before it is a page, Markdown or JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from safety_reasoning.eval.report.failures import Failures
from safety_reasoning.eval.report.grids import Grid
from safety_reasoning.eval.report.plots import Plot
from safety_reasoning.pages.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report."""

    name: str
    """Its anchor."""
    title: str
    text: str = ""
    """What it is about, in a sentence or two; '' where the tables say it."""
    grids: tuple[Grid, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is said of runs."""

    title: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]
    """What a reader has to know before believing a number."""
    sections: tuple[Section, ...]
    failures: tuple[Failures, ...]

    def table(self, name: str) -> Table:
        """The table of that name, which there is."""
        return next(table for table in self._tables() if table.name == name)

    def grid(self, number: int) -> Grid:
        """The paper's table of that number, again."""
        return next(grid for section in self.sections for grid in section.grids if grid.number == number)

    def as_json(self) -> dict[str, Any]:
        """Everything but the examples of failures, in plain JSON values."""
        return {
            "title": self.title,
            "warnings": list(self.warnings),
            "paper": {str(grid.number): grid.as_json() for section in self.sections for grid in section.grids},
            "tables": {table.name: table.as_json() for table in self._tables()},
            "failures": [{"run": of.run, "task": of.task, "kind": of.kind, "rows": of.rows} for of in self.failures],
        }

    def _tables(self) -> Iterator[Table]:
        for section in self.sections:
            yield from (plot.table for plot in section.plots)
            yield from section.tables
