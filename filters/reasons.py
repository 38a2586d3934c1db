"""Why a trace is not released. Codes are public: they are added to, never given a new meaning."""

from enum import StrEnum


class Drop(StrEnum):
    """Named for what is wrong with the trace."""

    EMPTY = "empty"
    """Nothing but white space."""
    VERDICT_LINE = "verdict_line"
    """It states a verdict in the answer's format: cut there, a guard trained on it would fail open."""
    THINK_TAG = "think_tag"
    """It holds `<think>` or `</think>`, which would end the reasoning early wherever it is used."""
    NOT_UNICODE = "not_unicode"
    """A lone surrogate: it cannot be written as UTF-8."""
