"""The plots of a report, drawn: SVG that stands within the page, the same bytes from the same points."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from safety_reasoning.eval.report.plots import PAPER, Plot, Point
from safety_reasoning.pages.figures import LOOKS, drawing, short, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_PAPER_LOOKS = (("#888888", "--", "x"), ("#888888", ":", "+"))
_MOST_SERIES = 12
"""More than that cannot be told apart; the rest stands in the table."""
_Look = tuple[str, Any, str]


def draw(plot: Plot) -> Markup:
    """The figure; '' where it has no point.

    Raises: UsageError naming the [eval] extra if matplotlib is not installed.
    """
    if not plot.points:
        return Markup()
    shown = _shown(plot)
    panels = list(dict.fromkeys(one.panel for one in plot.points))
    with drawing(plot.name, len(panels), extra="eval") as (figure, axes):
        for ground, panel in zip(axes, panels, strict=True):
            points = [one for one in plot.points if one.panel == panel and one.series in shown]
            (_bars if plot.bars else _lines)(ground, points, shown)
            ground.set_title(panel if len(panels) > 1 else "", loc="left", fontsize=10)
            _name_axes(ground, plot)
        if not plot.bars:
            axes[0].legend(handles=_keys(shown), fontsize=8)
        return svg(figure, plot.name, _said(plot, panels))


def _shown(plot: Plot) -> Mapping[str, _Look]:
    """The look of each series that is drawn; the paper's own is grey."""
    names = list(dict.fromkeys(one.series for one in plot.points))
    printed = [name for name in names if name.startswith(PAPER)]
    looks: dict[str, _Look] = dict(zip(printed, cycle(_PAPER_LOOKS), strict=False))
    others = [name for name in names if name not in looks]
    return looks | dict(zip(others[:_MOST_SERIES], cycle(LOOKS), strict=False))


def _keys(shown: Mapping[str, _Look]) -> "list[Line2D]":
    """What the legend shows: every series, also those that are not in its panel."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=colour, linestyle=line, marker=marker, markersize=5, linewidth=1.2, label=short(name))
        for name, (colour, line, marker) in shown.items()
    ]


def _lines(axes: "Axes", points: Sequence[Point], shown: Mapping[str, _Look]) -> None:
    """Each series as points, with their intervals, joined where there are several."""
    for name, (colour, line, marker) in shown.items():
        mine = sorted((one for one in points if one.series == name), key=lambda one: one.x)
        if not mine:
            continue
        xs, ys = [one.x for one in mine], [one.y for one in mine]
        axes.plot(xs, ys, marker=marker, linestyle=line, color=colour, markersize=5, linewidth=1.2)
        for one in mine:
            if one.low is not None and one.high is not None:
                axes.plot([one.x, one.x], [one.low, one.high], color=colour, linewidth=1)


def _bars(axes: "Axes", points: Sequence[Point], shown: Mapping[str, _Look]) -> None:
    """One bar a run, named at its side, with what it adds to the baseline."""
    for index, one in enumerate(points):
        colour, _, _ = shown[one.series]
        axes.barh(index, one.y, color=colour, height=0.6)
        said = one.note if "%" in one.note else ""
        axes.annotate(said, (one.y, index), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(points)), [short(one.series) for one in points])
    axes.invert_yaxis()
    axes.margins(x=0.3)


def _name_axes(axes: "Axes", plot: Plot) -> None:
    if plot.bars:
        axes.set_xlabel(plot.y)
        return
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    if plot.ticks:
        axes.set_xticks(range(len(plot.ticks)), plot.ticks)


def _said(plot: Plot, panels: Sequence[str]) -> str:
    """What is to be seen, for who cannot see it."""
    series = dict.fromkeys(one.series for one in plot.points)
    printed = sum(name.startswith(PAPER) for name in series)
    runs = len(series) - printed
    beside = " beside the paper's printed numbers" if printed else ""
    axes = plot.y if plot.bars else f"{plot.y} by {plot.x}"
    parts = f", in {len(panels)} panels" if len(panels) > 1 else ""
    return f"{plot.title}. {axes}, of {runs} runs{beside}{parts}. The numbers stand in the table."
