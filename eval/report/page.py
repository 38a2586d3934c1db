"""The report as one HTML file: nothing is fetched, no script runs, and every text of a run stays text."""

from functools import cache
from pathlib import Path

import jinja2

from safety_reasoning.eval.report.figures import draw
from safety_reasoning.eval.report.report import Report
from safety_reasoning.pages.frame import page_templates


def report_page(report: Report) -> str:
    """The whole page; the same bytes from the same report.

    Raises: UsageError naming the [eval] extra if matplotlib is not installed.
    """
    drawn = {plot.name: draw(plot) for section in report.sections for plot in section.plots}
    return _template().render(report=report, drawn=drawn)


@cache
def _template() -> jinja2.Template:
    return page_templates(Path(__file__).parent).get_template("report.html.j2")
