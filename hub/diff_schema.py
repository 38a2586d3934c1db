"""What changed in the schema of a config: its columns, their types, and the values that they may hold."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from safety_reasoning.hub.reading import Side
from safety_reasoning.hub.rows import Table
from safety_reasoning.schemas.columns import Task

Kind = Literal[
    "config added",
    "config removed",
    "column added",
    "column removed",
    "column renamed",
    "type changed",
    "values changed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """One change that a reader of the data must know of."""

    kind: Kind
    column: str = ""
    """Under the card's name; '' for a config."""
    old: str = ""
    """What a renamed column was called, or the type that it had."""
    new: str = ""


def column_changes(old: Table, new: Table) -> list[SchemaChange]:
    """How the columns differ, sorted by kind and name."""
    found = [SchemaChange(kind="column removed", column=name) for name in old.types if name not in new.types]
    found += [SchemaChange(kind="column added", column=name) for name in new.types if name not in old.types]
    for name in (name for name in old.types if name in new.types):
        if old.spellings[name] != new.spellings[name]:
            was, now = (", ".join(table.spellings[name]) for table in (old, new))
            found.append(SchemaChange(kind="column renamed", column=name, old=was, new=now))
        if old.types[name] != new.types[name]:
            was, now = (str(table.types[name]) for table in (old, new))
            found.append(SchemaChange(kind="type changed", column=name, old=was, new=now))
    return sorted(found, key=lambda change: (change.kind, change.column))


def value_changes(old: Side, new: Side, task: Task) -> Iterator[SchemaChange]:
    """The columns of which the two releases' JSON Schemas allow other values; words about them do not count."""
    was, now = (_properties(side, task) for side in (old, new))
    for name in sorted(was.keys() & now.keys()):
        if _without_words(was[name]) != _without_words(now[name]):
            yield SchemaChange(kind="values changed", column=name)


def _properties(side: Side, task: Task) -> Mapping[str, Any]:
    """The schema of every column; {} where the side has no schema of ours."""
    text = side.text(f"schemas/{task}.schema.json")
    try:
        properties = json.loads(text or "{}").get("properties", {})
    except (ValueError, AttributeError, RecursionError):
        return {}
    return properties if isinstance(properties, dict) else {}


def _without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_words(value) for key, value in schema.items() if key != "description"}
    return [_without_words(item) for item in schema] if isinstance(schema, list) else schema
