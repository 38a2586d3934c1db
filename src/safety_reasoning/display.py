"""Progress on stderr: live lines with an ETA on a terminal, plain lines now and then elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from safety_reasoning.builders.calls import Reply, Status

_PLAIN_EVERY_S = 10.0


class Display:
    """A `Progress` for people; a context manager, so that the terminal is left as it was."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._live = console.is_terminal
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            disable=not self._live,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._failed: dict[TaskID, int] = {}
        self._started: dict[TaskID, tuple[float, float]] = {}
        self._told_at = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, text: str) -> None:
        """See `Progress`."""
        self._say(f"{text} …")

    def expect(self, teacher: str, step: str, *, total: int, done: int) -> None:
        """See `Progress`."""
        task = self._bars.add_task(f"{teacher} {step}", total=total, completed=done, note="")
        self._tasks[teacher, step] = task
        self._failed[task] = 0
        self._started[task] = (time.monotonic(), done)
        if done:
            self._say(f"{teacher} {step}: {done} of {total} replies are in the store, {total - done} to go")

    def answered(self, teacher: str, step: str, reply: Reply) -> None:
        """See `Progress`."""
        task = self._tasks[teacher, step]
        self._failed[task] += reply.status is not Status.OK
        failed = self._failed[task]
        self._bars.update(task, advance=1, note=f"{failed} failed" if failed else "")
        now = time.monotonic()
        finished = self._bars.tasks[task].finished
        if not self._live and (finished or now - self._told_at >= _PLAIN_EVERY_S):
            self._told_at = now
            self._say(self._plain(task, now))

    def _plain(self, task: TaskID, now: float) -> str:
        bar = self._bars.tasks[task]
        began, before = self._started[task]
        rate = (bar.completed - before) / max(now - began, 1e-9)
        left = ((bar.total or 0) - bar.completed) / rate if rate else 0.0
        failed = f", {self._failed[task]} failed" if self._failed[task] else ""
        return f"{bar.description}: {bar.completed:.0f}/{bar.total:.0f}{failed}, {rate:.1f}/s, ETA {left:.0f} s"

    def _say(self, text: str) -> None:
        if self._live:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is the terminal's edge
