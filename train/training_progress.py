"""What a training tells of its steps, and how it is asked to stop."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from safety_reasoning.builders.progress import Progress
from safety_reasoning.display import clock
from safety_reasoning.train.training_arguments import processes


class TrainingProgress(Progress, Protocol):
    """Also told of the steps of a training."""

    def step(self, done: int, of: int, note: str) -> None:
        """So many steps of so many are done."""
        ...


def step_note(*, steps: int, left: int, tokens: int, seconds: float, loss: float | None) -> str:
    """Loss, tokens a second and the ETA in words, from what was done since the run began or went on."""
    passed = max(seconds, 1e-9)
    parts = [
        "" if loss is None else f"loss {loss:.4f}",
        f"{tokens / passed:.0f} tokens/s",
        f"ETA {clock(left * passed / steps)}" if steps else "",
    ]
    return ", ".join(part for part in parts if part)


class StopAsked:
    """Whether a person, or the machine, asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as a wish to stop after this step; the second one stops at once."""
        before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def asked_of_any(self) -> bool:
        """Whether any process of the run was asked: all must stop after the same step."""
        state = processes()
        if state.num_processes == 1:
            return self.asked
        import torch
        from accelerate.utils import reduce

        asked: Any = reduce(torch.tensor(float(self.asked), device=state.device), "sum")
        return bool(asked.item())

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("stopping after this step; once more stops at once", file=sys.stderr, flush=True)  # noqa: T201
