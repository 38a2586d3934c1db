"""The report as one HTML file: nothing is fetched, no script runs, and every text of a run stays text."""

from functools import cache
from pathlib import Path

import jinja2

from safety_reasoning import templates
from safety_reasoning.eval.report.figures import draw
from safety_reasoning.eval.report.report import Report
from safety_reasoning.review.report_page import _NUMBERS as NUMBERS
from safety_reasoning.review.report_page import _cell as cell
from safety_reasoning.review.report_page import _whole as whole
from safety_reasoning.review.report_text import plain, visible


def report_page(report: Report) -> str:
    """The whole page; the same bytes from the same report.

    Raises: UsageError naming the [review] extra if matplotlib is not installed.
    """
    drawn = {plot.name: draw(plot) for section in report.sections for plot in section.plots}
    return _template().render(report=report, drawn=drawn, numbers=NUMBERS)


@cache
def _template() -> jinja2.Template:
    environment = templates.environment(Path(__file__).parent)
    environment.filters |= {"visible": visible, "plain": plain, "cell": cell, "whole": whole}
    return environment.get_template("report.html.j2")
