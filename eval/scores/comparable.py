"""Whether two runs may be compared: what their run.json state about data, labels, policy, prompt and sampling. Pure."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.scores.text import one_line


class Ground(StrEnum):
    """Why two runs are not compared unless that is forced."""

    DATA = "data"
    """Another source, revision or file of a task, or other counts."""
    LABELS = "labels"
    """Another preset or label rule of a task."""
    POLICY = "policy"
    """Another way of reading or counting answers: a guard's strict or loose one, a stated parse policy."""
    PROMPT = "prompt"
    """Another prompt: another guard's, mostly."""
    SAMPLING = "sampling"
    """Other sampling values, another number of generations, or another grammar that answers are forced into."""


_TASK_FIELDS: Mapping[Ground, tuple[str, ...]] = {
    Ground.DATA: ("source", "revision", "sha256", "rows", "positives"),
    Ground.LABELS: ("preset", "label_rule", "policy_sha256", "positive_class", "subject"),
}
_WHENCE = ("source", "revision")
"""Where the file is from: no matter where its hash is the same."""
_RUN_FIELDS: Mapping[Ground, tuple[str, ...]] = {
    Ground.POLICY: ("policy", "parse_policy", "parser"),
    Ground.PROMPT: ("prompt_sha256", "policy_sha256"),
    Ground.SAMPLING: ("sampling", "generations", "grammar"),
}
_READINGS = ("strict", "loose")
"""Values of guards' settings that say how an answer is read, not what is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which two runs differ."""

    ground: Ground
    task: str | None
    """None: it is of the whole run."""
    field: str
    a: Any
    b: Any

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"ground": self.ground.value, "task": self.task, "field": self.field, "a": self.a, "b": self.b}

    def __str__(self) -> str:
        where = "" if self.task is None else f" of {self.task}"
        said = f"{self.field}{where} is {_said(self.a)} in A and {_said(self.b)} in B"
        return one_line(f"{self.ground.value}: {said}")


def differences(a: Mapping[str, Any], b: Mapping[str, Any], tasks: Collection[str]) -> tuple[Difference, ...]:
    """What differs between two run.json that matters for these tasks."""
    return (*_of_tasks(_tasks(a), _tasks(b), tasks), *_of_runs(a, b))


def refuse_unless_forced(found: Collection[Difference], forced: Collection[Ground]) -> None:
    """Raises: UsageError naming everything that differs and is not forced."""
    refused = [one for one in found if one.ground not in forced]
    if not refused:
        return
    grounds = sorted({one.ground.value for one in refused})
    raise UsageError(
        "the runs are not compared: they differ in more than the guard",
        why="\n     ".join(map(str, refused)),
        fix="compare runs of one recipe, or say that it is meant: " + " ".join(f"--force {name}" for name in grounds),
    )


def _tasks(stated: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    tasks = stated.get("tasks")
    known = [task for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []
    return {str(task.get("name")): task for task in known}


def _of_tasks(
    a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]], tasks: Collection[str]
) -> Iterator[Difference]:
    for task in sorted(tasks):
        first, second = a.get(task, {}), b.get(task, {})
        same_file = first.get("sha256") is not None and first.get("sha256") == second.get("sha256")
        for ground, fields in _TASK_FIELDS.items():
            for field in fields:
                if first.get(field) != second.get(field) and not (same_file and field in _WHENCE):
                    yield Difference(ground=ground, task=task, field=field, a=first.get(field), b=second.get(field))


def _of_runs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for ground, fields in _RUN_FIELDS.items():
        for field in fields:
            if a.get(field) != b.get(field):
                yield Difference(ground=ground, task=None, field=field, a=a.get(field), b=b.get(field))
    first, second = (dict(one["settings"]) if isinstance(one.get("settings"), Mapping) else {} for one in (a, b))
    for field in sorted({*first, *second}):
        values = first.get(field), second.get(field)
        if values[0] != values[1] and any(value in _READINGS for value in values):
            name = f"settings.{field}"
            yield Difference(ground=Ground.POLICY, task=None, field=name, a=first.get(field), b=second.get(field))


def _said(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_SHOWN = 120
"""Characters of a value in a message."""
