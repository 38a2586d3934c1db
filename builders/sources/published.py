"""The published reasoning release, or one of ours: samples that already have their traces.

Source: https://huggingface.co/datasets/nvidia/Nemotron-Content-Safety-Reasoning-Dataset (CC-BY-4.0): two
JSONL files with different columns. Teacher columns are read in every spelling (`efficient_reasoning_{model}`
in the file, `efficient_safety_reasoning_trace_{model}` on the card), <think> tags around traces are removed.
"""

from collections.abc import Mapping
from typing import cast

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.samples import (
    ContentSafetySample,
    Topic,
    TopicControlSample,
    Turn,
    topic_control_key,
)
from safety_reasoning.builders.sources import aegis, fields
from safety_reasoning.builders.verdicts import strip_think
from safety_reasoning.schemas.columns import JSONL_FILE, Task, teacher_of

FILES: Mapping[str, tuple[str, ...]] = {"train": tuple(JSONL_FILE.values())}
_TOPIC_COLUMNS = (
    "system_instruction",
    "conversation_history",
    "last_user_message",
    "gt_topic_classification",
)
_DERIVED = ("prompt_harm_label", "response_harm_label")


def to_record(value: object, task: Task) -> Record:
    """The record of one row of the file of that task.

    Raises: BadRow with the reason why the row cannot be used.
    """
    row = fields.as_row(value)
    sample = _content_safety(row) if task is Task.CONTENT_SAFETY else _topic_control(row)
    return Record(sample=sample, traces=_traces(row))


def is_known(column: str, task: Task) -> bool:
    """Whether the reader uses this column of a file of that task."""
    inputs = (*aegis.COLUMNS, *_DERIVED) if task is Task.CONTENT_SAFETY else _TOPIC_COLUMNS
    return column in inputs or teacher_of(column) is not None


def _content_safety(row: fields.Row) -> ContentSafetySample:
    sample = aegis.to_sample(row, None)
    for name, harm in zip(_DERIVED, (sample.prompt_harm, sample.response_harm), strict=True):
        if name in row and fields.optional_text(row, name) != harm:
            raise BadRow(Reason.CONTRADICTORY_LABELS, name, "it differs from the safe/unsafe label")
    return sample


def _topic_control(row: fields.Row) -> TopicControlSample:
    fields.as_row(row, _TOPIC_COLUMNS)
    history = []
    for item in fields.items(row, "conversation_history"):
        turn = fields.as_row(item, ("role", "content"))
        history.append(Turn(fields.text(turn, "role"), fields.text(turn, "content")))
    instruction = fields.text(row, "system_instruction")
    message = fields.text(row, "last_user_message")
    return TopicControlSample(
        key=topic_control_key(instruction, tuple(history), message),
        system_instruction=instruction,
        history=tuple(history),
        message=message,
        topic=cast(Topic, fields.choice(row, "gt_topic_classification", ("on-topic", "off-topic"))),
        domain="",
    )


def _traces(row: fields.Row) -> dict[str, TeacherTraces]:
    found: dict[str, dict[str, object]] = {}
    for column in row:
        if (named := teacher_of(column)) is not None:
            family, teacher = named
            read = _flag if family == "mismatch" else _trace
            parts = found.setdefault(teacher, {})
            if (value := read(row, column)) is not None:  # a null column hides no other spelling of it
                parts[family] = value
    return {teacher: _teacher(parts) for teacher, parts in sorted(found.items())}


def _teacher(parts: Mapping[str, object]) -> TeacherTraces:
    return TeacherTraces(
        full=cast(str | None, parts.get("full")),
        efficient=cast(str | None, parts.get("efficient")),
        mismatch=cast(bool | None, parts.get("mismatch")),
    )


def _trace(row: fields.Row, column: str) -> str | None:
    value = fields.optional_text(row, column)
    return None if value is None else strip_think(value) or None


def _flag(row: fields.Row, column: str) -> bool | None:
    value = row[column]
    if fields.is_null(value):
        return None
    if not isinstance(value, bool):
        raise BadRow(Reason.WRONG_TYPE, column, f"expected true, false or null, found {type(value).__name__}")
    return value
