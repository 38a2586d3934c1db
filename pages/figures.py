"""Figures, as SVG that stands within a page: the same bytes from the same numbers, no font, no script.

Text stays text, in whatever font the page's reader has; what is drawn in the page's colour turns with its dark mode.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from safety_reasoning.errors import missing_extra
from safety_reasoning.pages.text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"
"""Stands for the page's own colour until the SVG is there: matplotlib knows no `currentColor`."""
LOOKS = (
    *(("#0b84c6", "-", "o"), ("#d55e00", "--", "s"), ("#1a9e77", "-.", "^"), ("#c0629b", ":", "D")),
    *(("#b58900", (0, (6, 1, 1, 1, 1, 1)), "v"), ("#7570d2", (0, (1, 1)), "P")),
)
"""Colour, line and marker of each series: they are told apart without colour too, and on dark and light ground."""
_WIDTH_INCHES = 4.8
"""Narrow, so that a telephone need not make its letters small."""
_PANEL_INCHES = 2.5
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


def short(name: str) -> str:
    """A series' name as a legend can hold it: a teacher or a run may have any."""
    return plain(name[:_NAME_CHARS])


@contextmanager
def drawing(name: str, panels: int, *, extra: str) -> "Iterator[tuple[Figure, list[Axes]]]":
    """A figure of so many panels, one below the other, under our settings and nobody else's.

    Raises: UsageError naming `extra` if matplotlib is not installed.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra(extra, "matplotlib") from None
    with style.context(["default", _SETTINGS | {"svg.hashsalt": name}]):
        figure = Figure(figsize=(_WIDTH_INCHES, _PANEL_INCHES * panels), layout="constrained")
        yield figure, list(figure.subplots(panels, squeeze=False)[:, 0])


def svg(figure: "Figure", name: str, said: str) -> Markup:
    """The drawing as an element of a page, its names made unlike those of other figures."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawn).replace(_INK, "currentColor")
    attributes = Markup('<svg role="img" aria-label="{}"').format(said)
    return Markup(drawn.replace("<svg", attributes, 1))  # noqa: S704 - matplotlib's own, which escapes its texts
