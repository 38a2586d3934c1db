"""Figures of a report, as SVG that stands within a page: the same bytes from the same numbers, no font, no script.

Text stays text, in whatever font the page's reader has; what is drawn in the page's colour turns with its dark mode.
"""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from safety_reasoning.builders.join import EFFICIENT, FULL
from safety_reasoning.errors import missing_extra
from safety_reasoning.review.report_text import plain
from safety_reasoning.review.tables_budgets import MEASURES, Budgets, fits
from safety_reasoning.review.tables_lengths import Histogram, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"
"""Stands for the page's own colour until the SVG is there: matplotlib knows no `currentColor`."""
_LOOKS = (
    *(("#0b84c6", "-", "o"), ("#d55e00", "--", "s"), ("#1a9e77", "-.", "^"), ("#c0629b", ":", "D")),
    *(("#b58900", (0, (6, 1, 1, 1, 1, 1)), "v"), ("#7570d2", (0, (1, 1)), "P")),
)
"""Colour, line and marker of each teacher: they are told apart without colour too, and on dark and light ground."""
_WIDTH_INCHES = 4.8
"""Narrow, so that a telephone need not make its letters small."""
_PANEL_INCHES = 2.5
_BINS = 30
_NAME_CHARS = 40
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
}


def lengths_figure(words: Mapping[tuple[str, str], Histogram]) -> Markup:
    """How many kept traces have how many words; '' where there are none."""
    steps = [step for step in (FULL, EFFICIENT) if any(of == step for _, of in words)]
    if not steps:
        return Markup()
    teachers = sorted({teacher for teacher, _ in words})
    with _drawing("lengths", len(steps)) as (figure, panels):
        for axes, step in zip(panels, steps, strict=True):
            found = {teacher: words[teacher, step] for teacher in teachers if (teacher, step) in words}
            _histograms(axes, found, teachers)
            axes.set_xlabel(f"words of an {step} trace" if step == EFFICIENT else f"words of a {step} trace")
            axes.set_ylabel("share of the traces")
        panels[0].legend()
        said = "Histograms of the words in the kept traces, by teacher. The quantiles stand in the table."
        return _svg(figure, "lengths", said)


def _histograms(axes: "Axes", found: Mapping[str, Histogram], teachers: list[str]) -> None:
    """Each teacher's shares, in bins that all have in common; the longest 1% share the last bin."""
    top = max(max(quantile(histogram, 0.99) for histogram in found.values()), 1)
    width = max(1, -(-top // _BINS))
    edges = list(range(0, top + 2 * width, width))
    looks = dict(zip(teachers, cycle(_LOOKS), strict=False))
    for teacher, histogram in found.items():
        shares = [0.0] * (len(edges) - 1)
        for length, count in histogram.items():
            shares[min(length // width, len(shares) - 1)] += count / sum(histogram.values())
        colour, line, _ = looks[teacher]
        axes.stairs(shares, edges, label=_short(teacher), color=colour, linestyle=line, linewidth=1.5)
    axes.set_ylim(bottom=0)


def budgets_figure(budgets: Budgets) -> Markup:
    """The paper's Figure 5: mean length against the budget, with the fitted lines; '' without a line to draw."""
    lines = {(teacher, measure): line for teacher, measure, line in fits(budgets)}
    if not lines:
        return Markup()
    looks = dict(zip(budgets, cycle(_LOOKS), strict=False))
    with _drawing("budgets", len(MEASURES)) as (figure, panels):
        for axes, (name, measure) in zip(panels, MEASURES.items(), strict=True):
            for teacher, counted in budgets.items():
                colour, line, marker = looks[teacher]
                means = [measure(rewrites) for rewrites in counted.values()]
                axes.plot(list(counted), means, marker, label=_short(teacher), color=colour, markersize=5)
                if (teacher, name) in lines:
                    ends = [min(counted), max(counted)]
                    fit = lines[teacher, name]
                    heights = [fit.intercept + fit.slope * end for end in ends]
                    axes.plot(ends, heights, linestyle=line, color=colour, linewidth=1.2)
            axes.set_xlabel("budget of sentences")
            axes.set_ylabel(name)
            axes.set_xticks(sorted({budget for counted in budgets.values() for budget in counted}))
            axes.set_ylim(bottom=0)
        panels[0].legend()
        said = "Mean length of the rewrites against their budget of sentences, by teacher, with the fitted lines."
        return _svg(figure, "budgets", f"{said} The numbers stand in the tables.")


def _short(teacher: str) -> str:
    """A store's teacher may have any name at all."""
    return plain(teacher[:_NAME_CHARS])


@contextmanager
def _drawing(name: str, panels: int) -> "Iterator[tuple[Figure, list[Axes]]]":
    """A figure of so many panels, one below the other, under our settings and nobody else's."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("review", "matplotlib") from None
    with style.context(["default", _SETTINGS | {"svg.hashsalt": name}]):
        figure = Figure(figsize=(_WIDTH_INCHES, _PANEL_INCHES * panels), layout="constrained")
        yield figure, list(figure.subplots(panels, squeeze=False)[:, 0])


def _svg(figure: "Figure", name: str, said: str) -> Markup:
    """The drawing as an element of a page, its names made unlike those of other figures."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawn).replace(_INK, "currentColor")
    attributes = Markup('<svg role="img" aria-label="{}"').format(said)
    return Markup(drawn.replace("<svg", attributes, 1))  # noqa: S704 - matplotlib's own, which escapes its texts
