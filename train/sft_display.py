"""A training's progress on stderr: one live line on a terminal, plain lines now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from safety_reasoning.builders.progress import Silent

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PLAIN_EVERY_S = 10.0


class TrainingDisplay(Silent):
    """A `TrainingProgress` for people; a context manager, so that the terminal is left as it was.

    Of several processes one is `shown`.
    """

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown
        self._bar = _bar() if shown and sys.stderr.isatty() else None
        self._task: TaskID | None = None
        self._shown_s = float("-inf")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, text: str) -> None:
        """See `TrainingProgress`."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        elif self._shown:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the terminal's edge

    def step(self, done: int, of: int, note: str) -> None:
        """See `TrainingProgress`."""
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("training", total=of, note="")
            self._bar.update(self._task, completed=done, note=note)
        elif done == of or time.monotonic() - self._shown_s >= _PLAIN_EVERY_S:
            self._shown_s = time.monotonic()
            self.stage(f"step {done}/{of}, {note}")


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
