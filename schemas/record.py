"""The record schemas, general (any teachers) and concrete (the columns of one release).

`*.schema.json` is the one place where a column is defined; everything else is derived from it.
"""

import copy
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from safety_reasoning.schemas.columns import Naming, Task, families, teacher_columns, teacher_of

Schema = dict[str, Any]
"""A JSON Schema, draft 2020-12."""


@cache
def _general(task: Task) -> Schema:
    path = Path(__file__).parent / f"{task}.schema.json"
    schema: Schema = json.loads(path.read_text(encoding="utf-8"))
    return schema


def general_schema(task: Task) -> Schema:
    """The schema of a task's records, teacher columns as patterns."""
    return copy.deepcopy(_general(task))


def record_schema(task: Task, teachers: Iterable[str], naming: Naming = "card") -> Schema:
    """The schema of one release's records: every column named, in order, all required, none beside them."""
    schema = general_schema(task)
    of_family = _families(task, schema.pop("patternProperties"))
    for column in teacher_columns(task, teachers, naming):
        found = teacher_of(column)
        if found is None:
            raise ValueError(f"{column!r} is not a teacher column")
        schema["properties"][column] = of_family[found[0]]
    schema["required"] = list(schema["properties"])
    return schema


def _families(task: Task, patterns: Schema) -> dict[str, Schema]:
    """The schema of each column family, told by what its pattern starts with."""
    names = families(task)
    prefixes = {"full": names.full, "efficient": names.efficient, "mismatch": names.mismatch}
    return {
        family: next(schema for pattern, schema in patterns.items() if pattern.startswith(f"^{prefix}["))
        for family, prefix in prefixes.items()
    }


def task_of(columns: Iterable[str]) -> Task:
    """Which task's record has these columns."""
    return Task.TOPIC_CONTROL if "system_instruction" in set(columns) else Task.CONTENT_SAFETY
