"""Numbers and tables as the terminal shows them. What runs and benchmarks name is untrusted, and is made visible."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from safety_reasoning.eval.scores.measure import Measure
from safety_reasoning.pages.text import plain

NOTHING = "-"


def one_line(text: str) -> str:
    """The text on one line, with what cannot be seen made visible: nothing in it can pass for a line of ours."""
    return plain(text.replace("\n", "⏎").replace("\t", " "))


def run_line(label: str, stated: Mapping[str, Any]) -> str:
    """Which run it is, as its run.json says: its guard, its model and how that was sampled."""
    sampling = stated.get("sampling")
    said = {
        "guard": stated.get("guard") or stated.get("adapter"),
        "model": stated.get("model"),
        "preset": sampling.get("preset") if isinstance(sampling, Mapping) else None,
    }
    return one_line(f"{label}: " + ", ".join(f"{name} {value}" for name, value in said.items() if value is not None))


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def with_interval(measure: Measure) -> str:
    """0.832 [0.801, 0.861], or a dash."""
    if measure.value is None or measure.interval is None:
        return number(measure.value)
    return f"{measure.value:.3f} [{measure.interval.low:.3f}, {measure.interval.high:.3f}]"


def in_percent(share: float | None) -> str:
    """12.3%, or a dash."""
    return NOTHING if share is None else f"{100 * share:.1f}%"


def columns(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines of cells, one under the other: texts from the left, numbers from the right."""
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    if not cells:
        return
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(aligned).rstrip()
