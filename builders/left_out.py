"""What is kept aside, and why: nothing that a source holds disappears in silence."""

import json
from dataclasses import dataclass
from enum import StrEnum

from safety_reasoning.builders.records import input_columns
from safety_reasoning.builders.samples import Sample
from safety_reasoning.errors import UsageError


class Reason(StrEnum):
    """Why a row or sample is not released. Codes are public: they are added to, never given a new meaning."""

    INVALID_JSON = "invalid_json"
    """The line or element does not parse."""
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_LABEL = "unknown_label"
    """A label outside the source's closed set ("Safe" is not "safe")."""
    LABEL_WITHOUT_RESPONSE = "label_without_response"
    NO_PROMPT_LABEL = "no_prompt_label"
    """WildGuardMix test rows without a prompt label: nothing to hold a verdict against."""
    NOT_UNICODE = "not_unicode"
    """A lone surrogate: the text cannot be written as UTF-8."""
    REDACTED = "redacted"
    """The prompt is REDACTED and no reconstruction was found."""
    DUPLICATE = "duplicate"
    """The same interaction occurs earlier in the sources."""
    DISTRACTOR_UNPLACED = "distractor_unplaced"
    """Neither the distractor nor its bot turn was found in the dialogue."""
    UNLABELLED_TURN = "unlabelled_turn"
    """A user turn that is neither in the conversation nor one of its distractors: its label is unknown."""
    TURN_ABSENT = "turn_absent"
    """A user turn of the conversation that the version with distractors lacks: its place is unknown."""
    CONTRADICTORY_LABELS = "contradictory_labels"
    """Two columns of the row name different labels for the same thing."""
    NOT_SELECTED = "not_selected"
    """The recipe's selection rule took other turns of the dialogue."""
    NO_USABLE_TRACE = "no_usable_trace"
    """No teacher gave a trace that passed the filters."""
    KEEP_RULE = "keep_rule"
    """The teachers' verdicts do not satisfy the recipe's keep rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One row or sample that is not released."""

    task: str
    reason: Reason
    detail: str
    """The field, threshold or rule; never the text of the row."""
    source: str
    file: str
    row: int
    """From 1: the line of a JSONL file, the element of an array, the row of a table."""
    key: str
    """The sample's key, '' where the row never became a sample."""
    record: str
    """The row, or the sample's columns, as ASCII JSON, so that any text can be kept."""


class BadRow(ValueError):
    """A row that cannot be used; the readers turn it into `LeftOut`, `--strict` into an error."""

    def __init__(self, reason: Reason, field: str, detail: str) -> None:
        self.reason = reason
        self.field = field
        self.detail = detail
        super().__init__(f"{reason}: {field}: {detail}" if field else f"{reason}: {detail}")


def left_out_row(task: str, bad: BadRow, *, source: str, file: str, row: int, raw: object) -> LeftOut:
    """The bad row kept aside, whole."""
    detail = f"{bad.field}: {bad.detail}" if bad.field else bad.detail
    return LeftOut(
        task=task,
        reason=bad.reason,
        detail=detail,
        source=source,
        file=file,
        row=row,
        key="",
        record=json.dumps(raw, ensure_ascii=True, default=str),
    )


def left_out_sample(
    sample: Sample, reason: Reason, detail: str, *, source: str = "", file: str = "", row: int = 0
) -> LeftOut:
    """A sample kept aside, with the columns that its record would have had."""
    return LeftOut(
        task=sample.task,
        reason=reason,
        detail=detail,
        source=source,
        file=file,
        row=row,
        key=sample.key,
        record=json.dumps(input_columns(sample), ensure_ascii=True),
    )


def strict_error(bad: BadRow, *, file: str, row: int) -> UsageError:
    """What `--strict` says instead of keeping the row aside."""
    where = f"{file}, row {row}" + (f", field {bad.field!r}" if bad.field else "")
    return UsageError(
        f"{where}: {bad.reason}",
        why=bad.detail,
        fix="mend the row, or run without --strict to keep it aside in left_out",
    )
