"""Tables: what a report says in rows and columns, for people (HTML) and for programs (JSON) alike. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Cell = str | int | float | None
"""None: there is nothing to say, such as the share of nothing."""
Kind = Literal["text", "code", "count", "share", "number", "ratio"]
"""text: anybody's words. code: a name of ours. count: a whole number. share: in [0, 1]. number: a mean, in its column's
unit. ratio: a coefficient without a unit."""
Row = tuple[Cell, ...]

_FORMS: Mapping[Kind, str] = {"share": ".1%", "ratio": ".3f"}
_PLACES = 4
"""Of a number in JSON: below what a sample can tell, above what the last bit of a processor can change."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    """In JSON."""
    title: str
    """For people."""
    kind: Kind = "text"


TEACHER = Column("teacher", "teacher", "code")
STEP = Column("step", "step", "code")
REASON = Column("reason", "reason", "code")
ATTEMPT = Column("attempt", "attempt", "count")
INTERVAL = (Column("low", "95% interval from", "share"), Column("high", "to", "share"))
"""Wilson's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    name: str
    """In JSON, and its anchor in HTML."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""
    """How the numbers were counted; '' where the columns say it."""
    empty: str = "nothing to show"
    """What is said of it where it has no rows, in place of the note."""
    folded: bool = False
    """Whether a page shows it only when it is asked to: a long table that another one sums up."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; each row names its columns."""
        names = [column.name for column in self.columns]
        return {
            "title": self.title,
            "note": self.note if self.rows else self.empty,
            "columns": [{"name": c.name, "title": c.title, "kind": c.kind} for c in self.columns],
            "rows": [dict(zip(names, map(_plain, row), strict=True)) for row in self.rows],
        }


def share(part: float, whole: float) -> float | None:
    """In [0, 1]; None for a share of nothing."""
    return part / whole if whole else None


def shown(cell: Cell, kind: Kind) -> str:
    """A cell as people read it."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    return _number(cell, kind).replace("-", "\N{MINUS SIGN}")


def _number(cell: float, kind: Kind) -> str:
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:{_FORMS.get(kind, ',.2f')}}"


def _plain(cell: Cell) -> Cell:
    return round(cell, _PLACES) if isinstance(cell, float) else cell
