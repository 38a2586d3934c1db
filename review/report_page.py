"""The report as one HTML file: nothing is fetched, no script runs, and every text of a store stays text."""

from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from safety_reasoning import templates
from safety_reasoning.review.figures import budgets_figure, lengths_figure
from safety_reasoning.review.report import Report
from safety_reasoning.review.report_text import Cut, cut, plain, visible
from safety_reasoning.review.tables import Cell, Column, shown

_CELL_CHARS = 120
_NUMBERS = frozenset({"count", "share", "number", "ratio"})


def report_page(report: Report) -> str:
    """The whole page; the same bytes from the same report.

    Raises: UsageError naming the [review] extra if it is not installed.
    """
    figures = {"lengths": lengths_figure(report.words), "budgets": budgets_figure(report.budgets)}
    return _template().render(report=report, figures=figures, numbers=_NUMBERS)


@cache
def _template() -> jinja2.Template:
    environment = templates.environment(Path(__file__).parent)
    environment.filters |= {"visible": visible, "plain": plain, "cell": _cell, "whole": _whole}
    return environment.get_template("report.html.j2")


def _cell(cell: Cell, column: Column) -> Markup:
    """A cell; a source's own words are kept from turning the row around, or from filling the page."""
    text = _whole(cut(shown(cell, column.kind), _CELL_CHARS))
    if cell is None or column.kind in _NUMBERS:
        return text
    return Markup("<{0}>{1}</{0}>").format("code" if column.kind == "code" else "bdi", text)


def _whole(text: Cut) -> Markup:
    """A text, and how much was left out of its middle."""
    if not text.left_out:
        return visible(text.head)
    gap = Markup('<span class="cut">… {:,} characters left out …</span>').format(text.left_out)
    return Markup("{}{}{}").format(visible(text.head), gap, visible(text.tail))
