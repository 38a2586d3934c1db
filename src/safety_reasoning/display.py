"""Progress on stderr: a live line a teacher on a terminal, plain lines now and then elsewhere."""

import time
from collections import deque
from typing import TYPE_CHECKING

from safety_reasoning.builders.ledger import Ledger, Line
from safety_reasoning.terminal import PLAIN_EVERY_S, Terminal

if TYPE_CHECKING:
    from rich.progress import TaskID

_LIVE_EVERY_S = 0.25
_RATE_OVER_S = 60.0
"""Rates and the ETA look back so far: long enough for slow teachers, short enough to see a server go."""


class Display(Terminal):
    """A `Progress` for people."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, TaskID] = {}
        self._paces: dict[str, Pace] = {}
        self._faults: set[tuple[str, str]] = set()
        self._shown_s = time.monotonic()

    def stage(self, text: str) -> None:
        """See `Progress`."""
        self.say(f"{text} …")

    def asking(self, ledger: Ledger) -> None:
        """See `Progress`."""
        for teacher, line in ledger.teachers().items():
            if self.bars is not None:
                self._tasks[teacher] = self.bars.add_task(teacher, total=line.total, completed=line.done, note="")
            self._paces[teacher] = Pace(line)
            if line.before:
                self.say(f"{teacher}: {line.before} of {line.total} replies are in the store, {line.left} to go")

    def answered(self, ledger: Ledger) -> None:
        """See `Progress`."""
        now = time.monotonic()
        everything = ledger.all()
        if any(everything.failed.values()):
            self._say_new_faults(ledger)
        if everything.left and now - self._shown_s < (_LIVE_EVERY_S if self.bars else PLAIN_EVERY_S):
            return
        self._shown_s = now
        for teacher, line in ledger.teachers().items():
            if not line.replies:
                continue
            note = self._paces[teacher].note(line, now)
            if self.bars is not None:
                self.bars.update(self._tasks[teacher], total=line.total, completed=line.done, note=note)
            else:
                self.say(f"{teacher}: {line.done}/{line.total}, {note}")

    def _say_new_faults(self, ledger: Ledger) -> None:
        """The first reply of a teacher that ends in a fault is told at once: it may be that of all of them."""
        for teacher, line in ledger.teachers().items():
            for status in sorted(status for status, count in line.failed.items() if count):
                if (teacher, status) not in self._faults:
                    self._faults.add((teacher, status))
                    self.say(f"{teacher}: a reply ended as `{status}`; it is kept, the others go on")


class Pace:
    """What a teacher did lately."""

    def __init__(self, line: Line) -> None:
        self._seen: deque[tuple[float, int, int]] = deque([(time.monotonic(), line.replies, line.completion_tokens)])

    def note(self, line: Line, now: float) -> str:
        """Rate, failures, tokens, cost and ETA in words."""
        self._seen.append((now, line.replies, line.completion_tokens))
        while len(self._seen) > 2 and now - self._seen[1][0] > _RATE_OVER_S:
            self._seen.popleft()
        then, replies, tokens = self._seen[0]
        passed = max(now - then, 1e-9)
        rate = (line.replies - replies) / passed
        failed = sum(line.failed.values())
        parts = [
            f"{rate:.1f}/s",
            f"{failed} failed" if failed else "",
            f"{(line.completion_tokens - tokens) / passed:.0f} tokens/s",
            "" if line.cost_usd is None else f"{line.cost_usd:.2f} USD",
            f"ETA {clock(line.left / rate)}" if rate else "",
        ]
        return ", ".join(part for part in parts if part)


def clock(seconds: float) -> str:
    """A span of time as H:MM:SS."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
