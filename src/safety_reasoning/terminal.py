"""Where progress is shown: stderr, with live bars on a terminal and plain lines elsewhere."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

PLAIN_EVERY_S = 10.0
"""Between two plain lines on the same thing."""


class Terminal:
    """Stderr; a context manager, so that the terminal is left as it was."""

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown
        self.bars = _bars() if shown and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def say(self, text: str) -> None:
        """Show a line, above the bars."""
        if self.bars is not None:
            self.bars.console.print(text, markup=False, highlight=False)
        elif self._shown:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the terminal's edge


def _bars() -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
