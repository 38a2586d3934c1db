"""The reward of GRPO as TRL asks for it: the function of the verl export, once for every roll-out.

There is one reward (train/reward.py), so that a guard is worth the same wherever it is trained.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from safety_reasoning.train.reward import compute_score

LABELS: tuple[str, ...] = ("prompt_harm", "response_harm", "topic")
COUNTED = ("right", "missed_harm", "false_alarm", "unparsed", "well_formed")
"""What the reward is made of; the share of roll-outs of each is logged."""

Weights = Mapping[str, float]
"""The keyword arguments of `compute_score` that a recipe sets."""


def score(text: str, labels: Mapping[str, str | None], mode: str, weights: Weights) -> dict[str, float]:
    """What one roll-out is worth (`score`), and which of `COUNTED` it is, as 0 or 1."""
    gold = json.dumps({name: labels[name] for name in LABELS})
    return compute_score("", text, gold, {"mode": mode}, **weights)


def reward_function(weights: Weights) -> Callable[..., list[float | None]]:
    """A reward function for TRL: a reward for each completion, with the columns of its row beside it."""

    def reward(completions: Sequence[Sequence[Mapping[str, str]]], **columns: Any) -> list[float | None]:
        texts = [completion[-1]["content"] for completion in completions]
        labels = [dict(zip(LABELS, values, strict=True)) for values in zip(*(columns[n] for n in LABELS), strict=True)]
        scores = [score(*one, weights) for one in zip(texts, labels, columns["mode"], strict=True)]
        if (log := columns.get("log_metric")) is not None:
            for name in COUNTED:
                log(name, sum(one[name] for one in scores) / len(scores))
        return [one["score"] for one in scores]

    return reward
