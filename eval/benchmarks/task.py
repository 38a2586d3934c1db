"""A task: the labelled items of one benchmark under one preset, and what a run keeps of how they came about."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from safety_reasoning.eval.benchmarks.item import Item


class Unused(StrEnum):
    """Why a row that can be read is no item of the task; one that cannot has a `Reason` of builders/left_out.py.

    Codes are public: they are added to, never given a new meaning.
    """

    OTHER_PART = "other_part"
    """It belongs to another task, or to another preset of this one."""
    NO_LABEL = "no_label"
    """The label is null, or unknown by the rule."""
    REDACTED = "redacted"
    """The prompt is the word REDACTED."""
    EMPTY_RESPONSE = "empty_response"
    DUPLICATE = "duplicate"
    """Its texts and its label are those of an earlier row."""
    CONTRADICTORY_LABELS = "contradictory_labels"
    """Its texts are those of another row that has the other label: no verdict can be right."""
    NOT_SELECTED = "not_selected"
    """The preset takes other turns of the dialogue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a guard is asked about, and what is stated of it."""

    name: str
    items: tuple[Item, ...]
    """In the order of the file; no two have one key."""
    stated: Mapping[str, Any]
    """For `run.json`: plain JSON values, no path of this machine and no text of a row."""
    left_out: Counter[str]
    """How many rows (of dialogues: turns) are no item, by `Unused` or `Reason`."""
