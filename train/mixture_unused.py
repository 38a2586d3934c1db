"""Why a row of a release is not in a mixture."""

from dataclasses import dataclass
from enum import StrEnum

from safety_reasoning.schemas.columns import Task


class Unused(StrEnum):
    """Codes are public: added to, never given a new meaning. A row that cannot be read has a `left_out.Reason`."""

    UNREADABLE = "unreadable"
    """The line is no JSON object, or holds a value that its column cannot hold."""
    DUPLICATE = "duplicate"
    """The same interaction occurs earlier in the mixture's parts, and can be used there."""
    REDACTED = "redacted"
    """The prompt is REDACTED and no reconstruction is at hand: there is nothing to learn from the word."""
    RESPONSE_UNLABELLED = "response_unlabelled"
    """There is a response and no label of it; "Response harm: None" would teach that there is none."""
    TRACE_REFUSED = "trace_refused"
    """The trace holds a verdict line or a <think> tag, so that a guard trained on it would be misread."""
    MISMATCH = "mismatch"
    """The teacher's verdict differs from the gold label."""
    NO_VERDICT = "no_verdict"
    """Whether the teacher agrees with the gold label is not known."""
    NO_TRACE = "no_trace"
    """None of the chosen teachers has a trace of the kind that is taught."""
    CONTAMINATED_EXACT = "contaminated_exact"
    """A benchmark has the same text."""
    CONTAMINATED_NORMALISED = "contaminated_normalised"
    """A benchmark has the same text but for case and punctuation."""
    CONTAMINATED_NGRAM = "contaminated_ngram"
    """A benchmark has a text with which this one shares too many n-grams."""
    TOO_SHORT_TO_JUDGE = "too_short_to_judge"
    """The text equals no benchmark text and is too short for n-grams; left out only where the recipe says so."""
    NOT_SELECTED = "not_selected"
    """The row could be used; the subset took others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedRow:
    """One row of a release that is not in the mixture; its text stays in the release."""

    task: Task
    part: int
    """The position of its part in the recipe, from 0."""
    row: int
    """From 1, in its part."""
    key: str
    """The interaction's key, '' where the row could not be read."""
    reason: str
    """An `Unused`, or the `left_out.Reason` of a row that is not what a record should be."""
    detail: str
    """The field, the teacher or the benchmark; never the text of the row."""
