"""What the run asks of an engine."""

from typing import Protocol

from safety_reasoning.builders.calls import Call, Reply


class TeacherStopped(Exception):
    """The teacher will answer none of its calls; `str()` says why and how to mend it, without secrets."""


class CallUnfinished(Exception):
    """The server did not answer this call within its attempts; `str()` is the kind of failure."""


class Teacher(Protocol):
    """Answers calls. Used inside one event loop, by `recipe.concurrency` calls at a time."""

    async def ask(self, call: Call) -> Reply:
        """The reply to keep, whatever its status.

        Raises: CallUnfinished if it may succeed another time, TeacherStopped if none ever will.
        """
        ...

    async def close(self) -> None:
        """Free connections and processes."""
        ...
