"""Which version a release may have: none that exists, and none lower than its differences demand."""

from collections.abc import Iterable

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.diff import Diff
from safety_reasoning.hub.versions import Version


def parsed(text: str) -> Version:
    """The version that a person gave.

    Raises: UsageError if it is none.
    """
    version = Version.parse(text)
    if version is None:
        raise UsageError(f"{text!r} is no version", fix="give MAJOR.MINOR.PATCH, such as 1.2.0")
    return version


def first_version(own: Version | None, chosen: Version | None) -> Version:
    """The version of a release that follows none: the chosen one, else the one that it states.

    Raises: UsageError if there is neither.
    """
    version = chosen or own
    if version is None:
        raise UsageError("the release states no version", fix="give one with --set MAJOR.MINOR.PATCH")
    return version


def next_version(diff: Diff, *, own: Version | None, chosen: Version | None, existing: Iterable[Version]) -> Version:
    """The version of the new side: the chosen one, else the one that follows the old side's.

    Where nothing changed it is the old side's; where the old side states none, the release's own.
    Raises: UsageError if the version exists, is lower than one that does, or is lower than the differences demand.
    """
    demanded = Version.parse(diff.next_version)
    if diff.nothing_changed and demanded is not None and chosen is None:
        return demanded
    version = chosen or demanded or first_version(own, None)
    if demanded is not None and version < demanded:
        raise UsageError(
            f"version {version} is too low",
            why=f"{diff.why} since {diff.old.version}, which makes it a {diff.level} version",
            fix=f"take {demanded} or a higher one",
        )
    highest = max(existing, default=None)
    if highest is not None and version <= highest:
        raise UsageError(
            f"version {version} is not free: {highest} exists",
            why="versions only go up, and the tag of one that exists is never moved",
            fix=f"compare with {highest.tag}, or give a higher version with --set",
        )
    return version
