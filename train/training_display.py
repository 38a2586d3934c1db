"""A training's progress on stderr: one live line on a terminal, plain lines now and then elsewhere."""

import time
from typing import TYPE_CHECKING

from safety_reasoning.builders.progress import Silent
from safety_reasoning.terminal import PLAIN_EVERY_S, Terminal

if TYPE_CHECKING:
    from rich.progress import TaskID


class TrainingDisplay(Terminal, Silent):
    """A `TrainingProgress` for people. Of several processes one is `shown`."""

    def __init__(self, *, shown: bool = True) -> None:
        super().__init__(shown=shown)
        self._task: TaskID | None = None
        self._shown_s = float("-inf")

    def stage(self, text: str) -> None:
        """See `TrainingProgress`."""
        self.say(text)

    def step(self, done: int, of: int, note: str) -> None:
        """See `TrainingProgress`."""
        if self.bars is not None:
            if self._task is None:
                self._task = self.bars.add_task("training", total=of, note="")
            self.bars.update(self._task, completed=done, note=note)
        elif done == of or time.monotonic() - self._shown_s >= PLAIN_EVERY_S:
            self._shown_s = time.monotonic()
            self.say(f"step {done}/{of}, {note}")
