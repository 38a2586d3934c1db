"""The frame of a page: its templates, and the filters through which every text of theirs goes."""

from pathlib import Path

import jinja2
from markupsafe import Markup

from safety_reasoning import templates
from safety_reasoning.pages.tables import Cell, Column, shown
from safety_reasoning.pages.text import Cut, cut, plain, visible

_CELL_CHARS = 120
_NUMBERS = frozenset({"count", "share", "number", "ratio"})


def page_templates(folder: Path) -> jinja2.Environment:
    """The templates of a folder, which may use `style.css.j2` and `tables.html.j2`.

    `visible`, `plain`, `whole` and `cell` show a text, one where there is no markup, one cut in its middle, a cell.
    """
    environment = templates.environment(folder, Path(__file__).parent)
    environment.filters |= {"visible": visible, "plain": plain, "cell": _cell, "whole": _whole}
    environment.globals["numbers"] = _NUMBERS
    return environment


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
