"""Semantic versions of a data set: a change of schema is major, of rows minor, of anything else a patch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

Level = Literal["none", "patch", "minor", "major"]
"""How much changed between two versions."""

_NUMBER = r"(0|[1-9]\d{0,8})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """MAJOR.MINOR.PATCH, as https://semver.org orders it; pre-releases are not used."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: object) -> Self | None:
        """The version that the text is; None if it is none."""
        found = _VERSION.fullmatch(text) if isinstance(text, str) else None
        return None if found is None else cls(*map(int, found.groups()))

    @classmethod
    def of_tag(cls, tag: str) -> Self | None:
        """The version that a tag names (`v1.2.0`); None if it names none."""
        return cls.parse(tag.removeprefix("v")) if tag.startswith("v") else None

    @property
    def tag(self) -> str:
        """Its tag on the Hub."""
        return f"v{self}"

    def after(self, level: Level) -> "Version":
        """The version that follows a change of this level; the same one after none."""
        if level == "major":
            return Version(self.major + 1, 0, 0)
        if level == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1) if level == "patch" else self

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def versions_of_tags(tags: Iterable[str]) -> list[Version]:
    """The versions that tags name, lowest first; other tags name none."""
    return sorted(version for tag in tags if (version := Version.of_tag(tag)) is not None)
