"""The figures of the report on traces: lengths, and the paper's Figure 5."""

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING

from markupsafe import Markup

from safety_reasoning.builders.join import EFFICIENT, FULL
from safety_reasoning.pages.figures import LOOKS, drawing, short, svg
from safety_reasoning.review.tables_budgets import MEASURES, Budgets, fits
from safety_reasoning.review.tables_lengths import Histogram, quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 30


def lengths_figure(words: Mapping[tuple[str, str], Histogram]) -> Markup:
    """How many kept traces have how many words; '' where there are none."""
    steps = [step for step in (FULL, EFFICIENT) if any(of == step for _, of in words)]
    if not steps:
        return Markup()
    teachers = sorted({teacher for teacher, _ in words})
    with drawing("lengths", len(steps), extra="review") as (figure, panels):
        for axes, step in zip(panels, steps, strict=True):
            found = {teacher: words[teacher, step] for teacher in teachers if (teacher, step) in words}
            _histograms(axes, found, teachers)
            axes.set_xlabel(f"words of an {step} trace" if step == EFFICIENT else f"words of a {step} trace")
            axes.set_ylabel("share of the traces")
        panels[0].legend()
        said = "Histograms of the words in the kept traces, by teacher. The quantiles stand in the table."
        return svg(figure, "lengths", said)


def _histograms(axes: "Axes", found: Mapping[str, Histogram], teachers: list[str]) -> None:
    """Each teacher's shares, in bins that all have in common; the longest 1% share the last bin."""
    top = max(max(quantile(histogram, 0.99) for histogram in found.values()), 1)
    width = max(1, -(-top // _BINS))
    edges = list(range(0, top + 2 * width, width))
    looks = dict(zip(teachers, cycle(LOOKS), strict=False))
    for teacher, histogram in found.items():
        shares = [0.0] * (len(edges) - 1)
        for length, count in histogram.items():
            shares[min(length // width, len(shares) - 1)] += count / sum(histogram.values())
        colour, line, _ = looks[teacher]
        axes.stairs(shares, edges, label=short(teacher), color=colour, linestyle=line, linewidth=1.5)
    axes.set_ylim(bottom=0)


def budgets_figure(budgets: Budgets) -> Markup:
    """The paper's Figure 5: mean length against the budget, with the fitted lines; '' without a line to draw."""
    lines = {(teacher, measure): line for teacher, measure, line in fits(budgets)}
    if not lines:
        return Markup()
    looks = dict(zip(budgets, cycle(LOOKS), strict=False))
    with drawing("budgets", len(MEASURES), extra="review") as (figure, panels):
        for axes, (name, measure) in zip(panels, MEASURES.items(), strict=True):
            for teacher, counted in budgets.items():
                colour, line, marker = looks[teacher]
                means = [measure(rewrites) for rewrites in counted.values()]
                axes.plot(list(counted), means, marker, label=short(teacher), color=colour, markersize=5)
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
        return svg(figure, "budgets", f"{said} The numbers stand in the tables.")
