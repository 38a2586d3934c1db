"""What lies between two releases, and which version follows from it."""

import dataclasses
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safety_reasoning.hub.diff_beside import changes_beside
from safety_reasoning.hub.diff_rows import RowChanges, compare_rows
from safety_reasoning.hub.diff_schema import SchemaChange, column_changes, value_changes
from safety_reasoning.hub.reading import Side, Unreadable, opened
from safety_reasoning.hub.rows import open_table
from safety_reasoning.hub.versions import Level, Version
from safety_reasoning.schemas.columns import Task

_WHY: Mapping[Level, str] = {
    "major": "the schema changed",
    "minor": "rows changed",
    "patch": "the card, the manifest or files changed",
    "none": "nothing changed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One of the two sides."""

    named: str
    version: str | None
    """What its manifest states."""
    commit: str | None
    """Of a Hub revision."""
    unreadable: tuple[Unreadable, ...]
    """Lines that are in neither count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDiff:
    """What lies between the records of one task."""

    config: str
    schema: tuple[SchemaChange, ...]
    rows: RowChanges


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What lies between two releases."""

    old: Compared
    new: Compared
    configs: tuple[ConfigDiff, ...]
    beside: tuple[str, ...]
    """What differs beside the rows, their schema and what follows from them, by name."""

    @property
    def level(self) -> Level:
        """Major if the schema changed, minor if rows did or could not be read, patch if anything else changed."""
        if any(config.schema for config in self.configs):
            return "major"
        if any(config.rows.differ for config in self.configs) or self._unreadable:
            return "minor"
        return "patch" if self.beside else "none"

    @property
    def why(self) -> str:
        """Why it is of this level, in words."""
        if self.level == "minor" and not any(config.rows.differ for config in self.configs):
            return "there are lines that could not be read"
        return _WHY[self.level]

    @property
    def _unreadable(self) -> bool:
        return bool(self.old.unreadable or self.new.unreadable)

    @property
    def nothing_changed(self) -> bool:
        """Whether the two are the same but for their version and what is said about it."""
        return self.level == "none"

    @property
    def next_version(self) -> str | None:
        """The version that follows the old one; None where the old side states none."""
        version = Version.parse(self.old.version)
        return None if version is None else str(version.after(self.level))

    def as_json(self) -> Mapping[str, Any]:
        """One document."""
        told = {"level": self.level, "next_version": self.next_version, "nothing_changed": self.nothing_changed}
        return dataclasses.asdict(self) | told


def diff(old: str, new: str, *, samples: int = 5) -> Diff:
    """What lies between two folders or Hub revisions, with so many of the rows of each kind as samples.

    Raises: UsageError if one of them cannot be read.
    """
    with opened(old) as was, opened(new) as now:
        return compare(was, now, samples=samples)


def compare(old: Side, new: Side, *, samples: int = 5) -> Diff:
    """What lies between two sides."""
    configs = [_config(old, new, task, samples) for task in Task if task in old.tables or task in new.tables]
    differ = any(config.schema or config.rows.differ for config in configs)
    beside = tuple(changes_beside(old, new, rows_differ=differ))
    return Diff(old=_compared(old), new=_compared(new), configs=tuple(configs), beside=beside)


def _compared(side: Side) -> Compared:
    version = None if side.version is None else str(side.version)
    return Compared(named=side.named, version=version, commit=side.commit, unreadable=side.unreadable)


def _config(old: Side, new: Side, task: Task, samples: int) -> ConfigDiff:
    was, now = (open_table(side.tables[task], task) if task in side.tables else None for side in (old, new))
    schema: list[SchemaChange] = []
    if was is None or now is None:
        schema.append(SchemaChange(kind="config added" if was is None else "config removed"))
    else:
        schema += [*column_changes(was, now), *value_changes(old, new, task)]
    seeds = secrets.randbits(64), secrets.randbits(64)  # so that nobody can write rows that hash alike
    return ConfigDiff(config=task.value, schema=tuple(schema), rows=compare_rows(was, now, samples, seeds))
