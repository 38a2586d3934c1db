"""What a long run tells whoever watches it."""

from typing import Protocol

from safety_reasoning.builders.calls import Reply


class Progress(Protocol):
    """Receives events; shows them or not."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""
        ...

    def expect(self, teacher: str, step: str, *, total: int, done: int) -> None:
        """So many calls of a teacher's step, of which so many are in the store already."""
        ...

    def answered(self, teacher: str, step: str, reply: Reply) -> None:
        """One more reply is in the store."""
        ...


class Silent:
    """Shows nothing."""

    def stage(self, text: str) -> None:
        """See `Progress`."""

    def expect(self, teacher: str, step: str, *, total: int, done: int) -> None:
        """See `Progress`."""

    def answered(self, teacher: str, step: str, reply: Reply) -> None:
        """See `Progress`."""
