"""Scores and comparisons as one JSON document each."""

from collections.abc import Mapping, Sequence
from typing import Any

from safety_reasoning.eval.scores.averages import AVERAGES, average
from safety_reasoning.eval.scores.comparable import Difference
from safety_reasoning.eval.scores.compare import Compared, p_of
from safety_reasoning.eval.scores.measure import CONFIDENCE, Measure, Score
from safety_reasoning.eval.scores.policy import Policy

Scores = Mapping[str, Mapping[Policy, Score]]


def score_document(scores: Scores, parts: Mapping[str, Scores], by: str | None) -> dict[str, Any]:
    """Every task and every average under every policy; with `by`, also each task's parts."""
    document: dict[str, Any] = {
        "confidence": CONFIDENCE,
        "tasks": {task: _policies(found) for task, found in scores.items()},
        "averages": {
            policy.value: {
                name: average({task: found[policy] for task, found in scores.items()}, name).as_json()
                for name in AVERAGES
            }
            for policy in Policy
        },
    }
    if by is not None:
        named = {task: {name: _policies(one) for name, one in found.items()} for task, found in parts.items()}
        document |= {"by": by, "parts": named}
    return document


def compare_document(
    compared: Sequence[Compared], averages: Mapping[str, Measure], forced: Sequence[Difference]
) -> dict[str, Any]:
    """Two runs compared: by task, the differences of the averages, and what they differ in though it was forced."""
    return {
        "forced": [one.as_json() for one in forced],
        "tasks": {one.task: one.as_json() for one in compared},
        "averages": {name: one.as_json() | {"p": p_of(one.draws)} for name, one in averages.items()},
    }


def _policies(found: Mapping[Policy, Score]) -> dict[str, Any]:
    return {policy.value: score.as_json() for policy, score in found.items()}
