"""The names of a record's columns: two tasks, and for every teacher three families of columns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import regex


class Task(StrEnum):
    """The two safety tasks; the names are those of the release's configs."""

    CONTENT_SAFETY = "content_safety"
    TOPIC_CONTROL = "topic_control"


Naming = Literal["card", "published"]
"""card: the names of the dataset card. published: those of the published files, which differ from it."""

JSONL_FILE: Mapping[Task, str] = {
    Task.CONTENT_SAFETY: "aegis_v2_efficient_reasoning.jsonl",
    Task.TOPIC_CONTROL: "tf_efficient_reasoning.jsonl",
}
TEACHER = r"[a-z][a-z0-9_]*"
"""What a teacher may be called: it becomes part of column names."""


@dataclass(frozen=True, slots=True)
class Families:
    """What a teacher's columns start with; the teacher's name follows."""

    full: str
    efficient: str
    mismatch: str


_CARD = {
    Task.CONTENT_SAFETY: Families("safety_reasoning_", "efficient_safety_reasoning_trace_", "prediction_gt_mismatch_"),
    Task.TOPIC_CONTROL: Families("safety_reasoning_trace_", "efficient_reasoning_trace_", "prediction_gt_mismatch_"),
}
_PUBLISHED = {
    Task.CONTENT_SAFETY: Families("safety_reasoning_", "efficient_reasoning_", "prediction_gt_mismatch_"),
    Task.TOPIC_CONTROL: Families("safety_reasoning_trace_", "efficient_reasoning_", "prediction_gt_mismatch_"),
}
_ANY_SPELLING = regex.compile(
    rf"""(?x) (?: (?P<efficient> efficient_(?:safety_)?reasoning_(?:trace_)?+ )
                | (?P<full> safety_reasoning_(?:trace_)?+ )
                | (?P<mismatch> prediction_gt_mismatch_ ) )
         (?P<teacher> {TEACHER} )"""
)


def families(task: Task, naming: Naming = "card") -> Families:
    """The column families of a task under a naming."""
    return (_CARD if naming == "card" else _PUBLISHED)[task]


def teacher_of(column: str) -> tuple[str, str] | None:
    """(family, teacher) of a teacher column in any spelling that was ever published; None for another."""
    found = _ANY_SPELLING.fullmatch(column)
    return None if found is None else (_family(found), found["teacher"])


def _family(found: "regex.Match[str]") -> str:
    return next(name for name in ("efficient", "full", "mismatch") if found[name])


def teachers_in(columns: Iterable[str]) -> list[str]:
    """The teachers that the columns name, sorted."""
    return sorted({found[1] for column in columns if (found := teacher_of(column))})


def teacher_columns(task: Task, teachers: Iterable[str], naming: Naming = "card") -> list[str]:
    """The teacher columns of a record in the card's order: family by family, teachers sorted."""
    names = families(task, naming)
    ordered = sorted(teachers)
    return [prefix + t for prefix in (names.full, names.efficient, names.mismatch) for t in ordered]
