"""The report as Markdown, for a repository or a pull request: the tables; figures as their points, failures counted.

Texts of runs stand in it as text: markup, line breaks and table bars of theirs are escaped.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from safety_reasoning.eval.report.grids import Grid, GridCell
from safety_reasoning.eval.report.report import Report
from safety_reasoning.pages.tables import Cell, Column, Table, shown
from safety_reasoning.pages.text import cut, plain

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&$]|:(?=//))")
_CODE = re.compile(r"[\w./ -]{1,80}", re.ASCII)
"""What can stand between back-ticks as it is."""
_SPACE = re.compile(r"\s+")
_CELL_CHARS = 120
_RIGHT = frozenset({"count", "share", "number", "ratio"})


def report_markdown(report: Report) -> str:
    """The whole document; the same bytes from the same report."""
    return "\n".join(_lines(report))


def text(words: str) -> str:
    """Anybody's words as Markdown that shows them, on one line."""
    short = cut(words, _CELL_CHARS)
    gap = f" … {short.left_out:,} characters left out … " if short.left_out else ""
    return _MARKUP.sub(r"\\\1", _SPACE.sub(" ", plain(short.head + gap + short.tail)).strip())


def _lines(report: Report) -> Iterator[str]:
    yield f"# {text(report.title)}"
    for line in (*report.summary, *(f"Beware: {warning}" for warning in report.warnings)):
        yield from ("", _sentences(line))
    for section in report.sections:
        yield from ("", f"## {section.title}")
        if section.text:
            yield from ("", _sentences(section.text))
        for grid in section.grids:
            yield from _grid(grid)
        for plot in section.plots:
            yield from ("", f"### {plot.title}", "", _sentences(plot.text))
            yield from table_lines(plot.table)
        for table in section.tables:
            yield from table_lines(table)
    yield from _failures(report)
    yield ""


def table_lines(table: Table) -> Iterator[str]:
    """A table under its title, with its note."""
    if not table.rows:
        yield from ("", f"{text(table.title)}: {table.empty}.")
        return
    yield from ("", f"**{text(table.title)}**", "")
    marks = ["--:" if column.kind in _RIGHT else "---" for column in table.columns]
    rows = ([_cell(cell, column) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows)
    yield from _bars([text(column.title) for column in table.columns], marks, rows)
    if table.note:
        yield from ("", _sentences(table.note))


def _grid(grid: Grid) -> Iterator[str]:
    """Each cell: the run's number, and the paper's in brackets."""
    heads = [grid.first, "run", *(_head(column.group, column.title) for column in grid.columns)]
    rows = ([text(row.title), ", ".join(map(text, row.runs)) or "–", *map(_beside, row.cells)] for row in grid.rows)
    yield from ("", f"### {grid.title}", "")
    yield from _bars(heads, ["---", "---", *("--:" for _ in grid.columns)], rows)
    for note in grid.notes:
        yield from ("", _sentences(note))


def _head(group: str, title: str) -> str:
    return f"{group}: {title}" if group else title


def _beside(cell: GridCell) -> str:
    ours = cell.run or cell.missing
    near = f" ({cell.near})" if cell.near else ""
    return f"{ours}{near}{f' [{cell.printed}]' if cell.printed else ''}"


def _failures(report: Report) -> Iterator[str]:
    yield from ("", "## Failures", "")
    if not report.failures:
        yield "No run has a wrong or an unparsed row."
        return
    yield "The HTML report shows examples of each, with their traces."
    yield ""
    rows = ([text(of.run), text(of.task), of.kind, f"{of.rows:,}"] for of in report.failures)
    yield from _bars(["run", "task", "kind", "rows"], ["---", "---", "---", "--:"], rows)


def _bars(heads: Sequence[str], marks: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (heads, marks, *rows):
        yield f"| {' | '.join(cells)} |"


def _cell(cell: Cell, column: Column) -> str:
    if column.kind == "code" and isinstance(cell, str) and _CODE.fullmatch(cell):
        return f"`{cell}`"
    return text(shown(cell, column.kind))


def _sentences(words: str) -> str:
    """Words of ours, which may hold a run's label."""
    return _MARKUP.sub(r"\\\1", plain(words))
