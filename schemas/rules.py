"""What a record must satisfy and a JSON Schema cannot say: one pure function a rule.

A rule gives (JSON pointer, what is expected) for each way in which the record breaks it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from safety_reasoning.filters.apply import reasons
from safety_reasoning.schemas.columns import Task, teacher_of

Columns = Mapping[str, Any]
Broken = tuple[str, str]
Rule = Callable[[Columns], Iterator[Broken]]

_HARM = {"safe": "unharmful", "unsafe": "harmful", None: None}


def labels_agree(record: Columns) -> Iterator[Broken]:
    """The harm labels say what the safe/unsafe labels say."""
    for part in ("prompt", "response"):
        label = record.get(f"{part}_label")
        if not isinstance(label, str | None) or label not in _HARM:
            continue  # the schema says so
        expected = _HARM[label]
        if record.get(f"{part}_harm_label") != expected:
            yield f"/{part}_harm_label", f"{expected!r}, which is what {part}_label says"


def label_needs_response(record: Columns) -> Iterator[Broken]:
    """A response label stands only where there is a response ('' is one)."""
    if record.get("response") is None and record.get("response_label") is not None:
        yield "/response_label", "null, since the response is null"


def efficient_needs_full(record: Columns) -> Iterator[Broken]:
    """An efficient trace stands only beside the full one that it shortens."""
    has_full = {
        found[1]
        for column, value in record.items()
        if value is not None and (found := teacher_of(column)) is not None and found[0] == "full"
    }
    for column, value in record.items():
        found = teacher_of(column)
        if value is not None and found is not None and found[0] == "efficient" and found[1] not in has_full:
            yield f"/{column}", f"null, since there is no full trace of {found[1]}"


def traces_pass_filters(record: Columns) -> Iterator[Broken]:
    """No trace is released that a filter refuses: see `safety_reasoning.filters`."""
    for column, value in record.items():
        found = teacher_of(column)
        if isinstance(value, str) and found is not None and (why := reasons(value)):
            yield f"/{column}", f"a trace without {why[0]}"


def texts_are_unicode(record: Columns) -> Iterator[Broken]:
    """Every text can be written as UTF-8: a lone surrogate passes JSON and breaks Parquet."""
    for column, value in record.items():
        try:
            json.dumps(value, ensure_ascii=False, default=str).encode()
        except UnicodeEncodeError:
            yield f"/{column}", "text without lone surrogates"


RULES: Mapping[Task, tuple[Rule, ...]] = {
    Task.CONTENT_SAFETY: (
        texts_are_unicode,
        labels_agree,
        label_needs_response,
        efficient_needs_full,
        traces_pass_filters,
    ),
    Task.TOPIC_CONTROL: (texts_are_unicode, efficient_needs_full, traces_pass_filters),
}
_KEY_COLUMNS = {
    Task.CONTENT_SAFETY: ("id", "prompt", "response"),
    Task.TOPIC_CONTROL: ("system_instruction", "conversation_history", "last_user_message"),
}


def interaction(record: Columns, task: Task) -> list[object]:
    """What identifies a record: no two of a release share it."""
    return [record.get(column) for column in _KEY_COLUMNS[task]]
