"""The tables of the paper (Sreedhar et al., 2025) as data: every printed cell by table, row and column.

They lie in `paper/table_NN.toml`, as printed. A number keeps how many digits it was printed with, for that says how
far off it may be: 0.79 stands for anything between 0.785 and 0.795.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

from safety_reasoning.errors import UsageError

FOLDER = Path(__file__).with_name("paper")
Measure = Literal["f1", "std_generations", "mean_training_sets", "std_training_sets"]
"""f1: of the positive class, a mean over generations. The others: over generations, or over training sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A number as it was printed."""

    value: Decimal

    @property
    def slack(self) -> Decimal:
        """Half a unit of its last digit: how far the number may be from what was rounded."""
        exponent = self.value.as_tuple().exponent
        return Decimal(5).scaleb(int(exponent) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Printed):
    """A number of a table, and where it stands."""

    table: int
    row: str
    column: str
    of: str
    """The task, or the average by its rule."""
    measure: Measure

    @property
    def place(self) -> str:
        """For people: `Table 1, l31_wildguardmix_nr, avg`."""
        return f"Table {self.table}, {self.row}, {self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperColumn:
    """One column."""

    name: str
    title: str
    """As printed."""
    of: str
    """A task's name, or an average's."""
    group: str = ""
    """What is printed above several columns."""
    measure: Measure = "f1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """One row: a model, by the same name in every table."""

    name: str
    title: str
    """As printed."""
    cells: tuple[Cell, ...]
    group: str = ""
    """The subhead that it stands under."""
    note: str = ""
    """Why it is taken to be that model, where the paper does not say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTable:
    """One table."""

    number: int
    title: str
    columns: tuple[PaperColumn, ...]
    rows: tuple[PaperRow, ...]
    note: str = ""

    def row(self, name: str) -> PaperRow | None:
        """The row of a model; None where the table has none."""
        return next((row for row in self.rows if row.name == name), None)


@cache
def paper_tables() -> Mapping[int, PaperTable]:
    """Tables 1 to 12, by number."""
    tables = [_table(read(path.name)) for path in sorted(FOLDER.glob("table_*.toml"))]
    return {table.number: table for table in tables}


def paper_cell(table: int, row: str, column: str) -> Cell:
    """One cell.

    Raises: UsageError naming what the paper has in place of what it has not.
    """
    tables = paper_tables()
    if table not in tables:
        raise UsageError(f"the paper has no Table {table}", fix=f"one of {', '.join(map(str, tables))}")
    found = tables[table].row(row)
    if found is None:
        rows = ", ".join(row.name for row in tables[table].rows)
        raise UsageError(f"Table {table} has no row {row}", fix=f"one of {rows}")
    for cell in found.cells:
        if cell.column == column:
            return cell
    columns = ", ".join(column.name for column in tables[table].columns)
    raise UsageError(f"Table {table} has no column {column}", fix=f"one of {columns}")


def read(name: str) -> dict[str, Any]:
    """A file of the paper's numbers; its numbers keep their digits."""
    return tomllib.loads((FOLDER / name).read_text(encoding="utf-8"), parse_float=Decimal)


def _table(said: dict[str, Any]) -> PaperTable:
    columns = tuple(PaperColumn(**column) for column in said.pop("columns"))
    rows = tuple(_row(said["number"], columns, row) for row in said.pop("rows"))
    return PaperTable(columns=columns, rows=rows, **said)


def _row(table: int, columns: tuple[PaperColumn, ...], said: dict[str, Any]) -> PaperRow:
    cells = tuple(
        Cell(value=value, table=table, row=said["name"], column=column.name, of=column.of, measure=column.measure)
        for column, value in zip(columns, said.pop("cells"), strict=True)
    )
    return PaperRow(cells=cells, **said)
