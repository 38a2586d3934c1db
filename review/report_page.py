"""The report as one HTML file: nothing is fetched, no script runs, and every text of a store stays text."""

from functools import cache
from pathlib import Path

import jinja2

from safety_reasoning.pages.frame import page_templates
from safety_reasoning.review.figures import budgets_figure, lengths_figure
from safety_reasoning.review.report import Report


def report_page(report: Report) -> str:
    """The whole page; the same bytes from the same report.

    Raises: UsageError naming the [review] extra if it is not installed.
    """
    figures = {"lengths": lengths_figure(report.words), "budgets": budgets_figure(report.budgets)}
    return _template().render(report=report, figures=figures)


@cache
def _template() -> jinja2.Template:
    return page_templates(Path(__file__).parent).get_template("report.html.j2")
