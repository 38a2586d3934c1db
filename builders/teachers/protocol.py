"""What the run asks of an engine."""

import threading
from collections import Counter
from pathlib import Path
from typing import Protocol

from safety_reasoning.builders.calls import Reply, Request


class TeacherStopped(Exception):
    """The teacher will answer none of its calls; `str()` says why and how to mend it, without secrets."""


class CallUnfinished(Exception):
    """The server did not answer this call within its attempts; `str()` is the kind of failure."""


class Teacher(Protocol):
    """Answers calls. Used inside one event loop, by `recipe.concurrency` calls at a time."""

    async def ask(self, request: Request) -> Reply:
        """The reply to keep, whatever its status.

        Raises: CallUnfinished if it may succeed another time, TeacherStopped if none ever will.
        """
        ...

    async def close(self) -> None:
        """Free connections and processes."""
        ...


class BatchTeacher(Protocol):
    """Answers a wave of requests elsewhere. Its replies come as parts, readable as soon as they appear."""

    def answer(self, requests: Path, replies: Path, stop: threading.Event) -> Counter[str]:
        """Ask every request of the folder `requests`; write parts of replies into the folder `replies`.

        Blocks until all are asked or `stop` is set. Returns the calls left unfinished, by kind of failure.
        Raises: TeacherStopped if none will ever be answered.
        """
        ...

    def close(self) -> None:
        """Leave or stop the cluster."""
        ...
