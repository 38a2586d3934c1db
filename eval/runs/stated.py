"""Stated: what a run.json says, so that its rows can be judged without whoever made them. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from safety_reasoning.builders.samples import digest
from safety_reasoning.eval.runs.open import Opened
from safety_reasoning.eval.runs.recipe import GuardEngine, RunRecipe
from safety_reasoning.eval.runs.subset import Chosen


def stated_run(recipe: RunRecipe, opened: Opened, tasks: Sequence[Chosen]) -> dict[str, Any]:
    """The run.json but for its rows: no time, no path and no key."""
    run, model, engine = recipe.run, opened.model, recipe.engine
    return {
        "name": run.name,
        "paper_row": run.paper_row,
        "adapter": recipe.guard.adapter,
        "guard": opened.guard.name,
        "settings": opened.settings,
        "prompt_sha256": opened.guard.prompt_sha256,
        "takes_policy": opened.guard.takes_policy,
        "policy_sha256": opened.policy and hashlib.sha256(opened.policy.encode("utf-8", "surrogatepass")).hexdigest(),
        "model": model and model.name,
        "model_revision": model and model.revision,
        "mixture": model and model.mixture,
        **_how(recipe, opened),
        "engine": engine and engine.engine,
        "concurrency": engine and _concurrency(engine),
        "tasks": [{**task.task.stated, "asked": _of(task, run.limit, run.seed)} for task in tasks],
        "tool": {"name": "safety-reasoning", "version": version("safety-reasoning")},
    }


def _how(recipe: RunRecipe, opened: Opened) -> dict[str, Any]:
    """How it was sampled; a guard without a model was not."""
    if opened.asked is None:
        return {"sampling": None, "seed": recipe.run.seed, "generations": 1, "logprobs": 0, "grammar": None}
    sampling = opened.asked.sampling
    return {
        "sampling": {
            "preset": recipe.run.preset,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "extra_body": sampling.extra_body,
        },
        "seed": recipe.run.seed,
        "generations": opened.asked.generations,
        "logprobs": opened.asked.logprobs,
        "grammar": recipe.guard.grammar,
    }


def _concurrency(engine: GuardEngine) -> int:
    """Calls in flight."""
    return engine.concurrency * (engine.ray.workers if engine.engine == "ray" else 1)


def _of(task: Chosen, limit: int | None, seed: int) -> Mapping[str, Any]:
    """Which of the task's items were asked about."""
    return {
        "items": len(task.items),
        "positives": sum(item.positive for item in task.items),
        "limit": limit,
        "seed": None if limit is None else seed,
        "keys": digest(sorted(item.key for item in task.items)),
    }
