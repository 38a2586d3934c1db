"""The manifest: everything that says what a release is and how it was made; no time stamps, no secrets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from safety_reasoning.builders.calls import Step
from safety_reasoning.builders.join import Joined
from safety_reasoning.builders.left_out import LeftOut
from safety_reasoning.builders.prompts import Prompt, load_prompt
from safety_reasoning.builders.questions import sentence_budget
from safety_reasoning.builders.recipe import JudgeRecipe, Recipe, SourceRecipe, TeacherRecipe
from safety_reasoning.builders.sources.load import Loaded
from safety_reasoning.builders.teachers.embedded import MODEL
from safety_reasoning.schemas.columns import Task

Manifest = dict[str, Any]
"""JSON values; the release's manifest.json."""

FORMAT = 1
_PROMPTS = {
    ("aegis", Step.FULL): "generate_aegis",
    ("wildguardmix", Step.FULL): "generate_wildguard",
    ("canttalkaboutthis", Step.FULL): "generate_topic",
    ("aegis", Step.PREDICT): "classify_safety",
    ("wildguardmix", Step.PREDICT): "classify_safety",
    ("canttalkaboutthis", Step.PREDICT): "classify_topic",
}


def make_manifest(
    recipe: Recipe, loaded: Loaded, joined: Joined, left_out: list[LeftOut], configs: Mapping[Task, Manifest]
) -> Manifest:
    """The manifest without the hashes of the files, which are added when those are written."""
    release = recipe.release
    return {
        "format": FORMAT,
        "name": release.name,
        "version": release.version,
        "repo": release.repo,
        "license": release.license,
        "language": list(release.language),
        "columns": release.columns,
        "keep": release.keep,
        "verdict": release.verdict,
        "tool": {"name": "safety-reasoning", "version": version("safety-reasoning")},
        "sources": _sources(recipe, loaded),
        "absent_files": sorted(loaded.absent),
        "teachers": [_teacher(t, recipe) for t in sorted(recipe.teachers, key=lambda t: t.name)],
        "filters": recipe.filters.model_dump(mode="json"),
        "judge": None if recipe.judge is None else _judge(recipe.judge),
        "regenerate": recipe.regenerate.model_dump(mode="json"),
        "configs": {task.value: config for task, config in configs.items()},
        "dropped_traces": [
            {"teacher": teacher, "step": step, "reason": str(reason), "traces": count}
            for (teacher, step, reason), count in sorted(joined.dropped.items())
        ],
        "left_out": _left_out(left_out),
    }


def _sources(recipe: Recipe, loaded: Loaded) -> list[Manifest]:
    described = []
    for position, source in enumerate(recipe.sources):
        files = [f for f in loaded.files if f.source == position]
        described.append(
            {
                "kind": source.kind,
                "origin": _origin(source),
                "revision": source.revision,
                "split": source.split,
                "select": source.select.model_dump() if source.kind == "canttalkaboutthis" else None,
                "files": [
                    {
                        "name": f.name,
                        "rows": f.rows,
                        "sha256": f.sha256,
                        "ignored_columns": list(f.ignored_columns),
                    }
                    for f in files
                ],
            }
        )
    return described


def _origin(source: SourceRecipe) -> str:
    """The Hub address; a local folder by its last name alone, since the rest is this machine's affair."""
    return source.path if source.path.startswith("hf://") else source.path.rstrip("/").rpartition("/")[2]


def _teacher(teacher: TeacherRecipe, recipe: Recipe) -> Manifest:
    steps = {Step.FULL: teacher.full, Step.efficient(recipe.release.sentences): teacher.efficient}
    if recipe.release.verdict == "blind":
        steps[Step.PREDICT] = teacher.predict
    kinds = sorted({source.kind for source in recipe.sources})
    return {
        "name": teacher.name,
        "engine": teacher.engine,
        "model": teacher.model or MODEL,
        "samples": teacher.samples,
        "steps": {
            step.value: {
                "sampling": sampling.model_dump(mode="json"),
                "prompts": _prompts(step, kinds),
                "budget": sentence_budget(recipe.release.sentences) if step.is_efficient else None,
            }
            for step, sampling in steps.items()
        },
    }


def _judge(judge: JudgeRecipe) -> Manifest:
    prompts = [load_prompt("judge"), *(load_prompt(f"rubric/{mode}") for mode in judge.rubric)]
    return {
        "name": judge.name,
        "engine": judge.engine,
        "model": judge.model or MODEL,
        "ask": judge.ask,
        "modes": list(judge.rubric),
        "sampling": judge.sampling.model_dump(mode="json"),
        "prompts": [_described(prompt) for prompt in prompts],
    }


def _prompts(step: Step, kinds: Sequence[str]) -> list[Manifest]:
    names = ["efficient"] if step.is_efficient else sorted({_PROMPTS[kind, step] for kind in kinds})
    prompts = [load_prompt(name) for name in names]
    return [_described(prompt) for prompt in prompts]


def _described(prompt: Prompt) -> Manifest:
    return {"name": prompt.name, "version": prompt.version, "sha256": prompt.sha256}


def _left_out(left_out: list[LeftOut]) -> list[Manifest]:
    counts = Counter((item.task, item.reason.value) for item in left_out)
    return [{"config": task, "reason": reason, "rows": n} for (task, reason), n in sorted(counts.items())]
