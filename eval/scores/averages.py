"""Named averages over tasks, made again from the tasks' scores. Pure.

The paper's averages follow no single rule, so each has a name and its parts. Tasks are taken for independent: a draw of
an average is the mean of one draw of each part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from safety_reasoning.eval.scores.measure import Floats, Measure, Metric, Score
from safety_reasoning.eval.scores.spread import interval_of, std_of

_PROMPT5 = ("aegis2_prompt", "openai_moderation", "simple_safety_tests", "toxicchat", "wildguardtest_prompt")
_RESP4 = ("aegis2_response", "jailbreakbench_response", "wildguardtest_response", "xstest_response")
_COSA = ("game_development", "public_prosecutor", "book_publisher_arab", "language_learning", "film_production")

AVERAGES: Mapping[str, tuple[str, ...]] = {
    "safety9": (*_PROMPT5, *_RESP4),
    "prompt5": _PROMPT5,
    "resp4": _RESP4,
    "dyna4": tuple(f"dynaguardrail_{part}" for part in ("finance", "injection", "safety", "tax")),
    "cosa5": tuple(f"cosapien_{scenario}" for scenario in _COSA),
    "custom_mean2": ("dyna4", "cosa5"),
    "topic": ("topic_control",),
}
"""The parts of each: tasks, or averages before it. Every part weighs the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """One average of one metric."""

    name: str
    metric: Metric
    tasks: tuple[str, ...]
    """All that it is made of."""
    missing: tuple[str, ...]
    """Of these, the ones without a value; if there is one, there is no average."""
    measure: Measure

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        said = {"metric": self.metric.value, "tasks": list(self.tasks), "missing": list(self.missing)}
        return said | self.measure.as_json()


def tasks_of(name: str) -> tuple[str, ...]:
    """The tasks of an average, those of its parts among them."""
    return tuple(task for part in AVERAGES[name] for task in (tasks_of(part) if part in AVERAGES else (part,)))


def average(scores: Mapping[str, Score], name: str, metric: Metric = Metric.F1) -> Average:
    """An average over the scores of tasks, all under one policy; absent (no value) where a task is missing."""
    tasks = tasks_of(name)
    found = {task: scores[task].measures[metric] for task in tasks if task in scores}
    measure = mean_of(found, name)
    return Average(name=name, metric=metric, tasks=tasks, missing=_missing(found, name), measure=measure)


def _missing(measures: Mapping[str, Measure], name: str) -> tuple[str, ...]:
    return tuple(task for task in tasks_of(name) if task not in measures or measures[task].value is None)


def mean_of(measures: Mapping[str, Measure], name: str) -> Measure:
    """The average of any measures by task, such as differences; without a value where a task has none."""
    if missing := _missing(measures, name):
        return Measure(value=None, why=f"without {', '.join(missing)}")
    return _weighted(measures, _weights(name))


def mean_of_all(measures: Mapping[str, Measure]) -> Measure:
    """The mean of all of these, every one weighing the same; without a value where one has none."""
    if lacking := [measure.why for measure in measures.values() if measure.value is None]:
        return Measure(value=None, why=lacking[0])
    return _weighted(measures, dict.fromkeys(measures, 1 / len(measures)))


def _weighted(measures: Mapping[str, Measure], weights: Mapping[str, float]) -> Measure:
    generations = _generations(measures, weights)
    draws = _draws(measures, weights)
    interval, undefined = interval_of(draws)
    return Measure(
        value=sum(weight * (measures[task].value or 0.0) for task, weight in weights.items()),
        std=std_of(generations),
        interval=interval,
        by_generation=generations,
        undefined_draws=undefined,
        draws=draws,
    )


def _weights(name: str, whole: float = 1.0) -> dict[str, float]:
    """The weight of each task: a part's share is divided among its tasks."""
    each = whole / len(AVERAGES[name])
    weights: dict[str, float] = {}
    for part in AVERAGES[name]:
        weights |= _weights(part, each) if part in AVERAGES else {part: each}
    return weights


def _draws(measures: Mapping[str, Measure], weights: Mapping[str, float]) -> Floats | None:
    """The average in each draw; None where a task has none (a single item), or another number of them."""
    drawn = [(weight, draws) for task, weight in weights.items() if (draws := measures[task].draws) is not None]
    if len(drawn) < len(weights) or len({len(draws) for _, draws in drawn}) != 1:
        return None
    return np.asarray(sum(weight * draws for weight, draws in drawn))


def _generations(measures: Mapping[str, Measure], weights: Mapping[str, float]) -> tuple[float | None, ...]:
    """The average in each generation; () where tasks were asked unequally often."""
    lengths = {len(measures[task].by_generation) for task in weights}
    if len(lengths) != 1:
        return ()
    columns = zip(*(measures[task].by_generation for task in weights), strict=True)
    return tuple(sum(w * (one or 0.0) for w, one in zip(weights.values(), column, strict=True)) for column in columns)
