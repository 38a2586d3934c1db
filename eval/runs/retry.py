"""What a person may ask for again: replies by how they ended."""

from collections.abc import Sequence

from safety_reasoning.builders.calls import Status
from safety_reasoning.errors import UsageError


def statuses(names: Sequence[str]) -> tuple[Status, ...]:
    """The statuses of these names; raises UsageError for one that is none."""
    allowed = [str(status) for status in Status if status is not Status.OK]
    for name in names:
        if name not in allowed:
            raise UsageError(f"--retry {name}: no reply ends so", fix=f"use one of: {', '.join(allowed)}")
    return tuple(Status(name) for name in names)
