"""Ask: from a recipe to a store that holds every reply, without what only a release needs."""

from collections.abc import Collection
from pathlib import Path

from safety_reasoning.builders.generate import generate
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import EngineRecipe, Recipe
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import open_store
from safety_reasoning.builders.teachers.protocol import BatchTeacher, Teacher
from safety_reasoning.errors import UsageError


def ask_teachers(recipe: Recipe, progress: Progress, ledger: Ledger, only: Collection[str] = ()) -> None:
    """Load the sources and ask the teachers (`only` those named, if any are) what the store lacks; make no release.

    Raises: as `build`, and UsageError for a name that is no teacher's; `ledger` says what became of the calls,
    however it ends.
    """
    recipe = _with_teachers(recipe, only)
    progress.stage("reading sources")
    loaded = load_sources(recipe.sources)
    with open_store(Path(recipe.release.store)) as store:
        progress.stage("asking teachers")
        generate(recipe, loaded.samples, store, progress, open_teacher, ledger)


def _with_teachers(recipe: Recipe, only: Collection[str]) -> Recipe:
    names = [teacher.name for teacher in recipe.teachers]
    unknown = sorted(set(only) - set(names))
    if unknown or not names:
        raise UsageError(
            f"the recipe has no teacher {unknown[0]!r}" if unknown else "the recipe has no teachers",
            fix=f"use one of: {', '.join(names)}" if names else "add a [[teachers]] section",
        )
    teachers = tuple(teacher for teacher in recipe.teachers if not only or teacher.name in only)
    return recipe.model_copy(update={"teachers": teachers})


def open_teacher(recipe: EngineRecipe) -> Teacher | BatchTeacher:
    """The engine of a teacher.

    Raises: UsageError if it lacks a key or an optional dependency.
    """
    if recipe.engine == "vllm":
        from safety_reasoning.builders.teachers.vllm import VllmTeacher

        return VllmTeacher(recipe)
    if recipe.engine == "ray":
        from safety_reasoning.builders.teachers.ray import RayTeacher

        return RayTeacher(recipe)
    if recipe.engine == "transformers":
        from safety_reasoning.builders.teachers.transformers import TransformersTeacher

        return TransformersTeacher(recipe)
    if recipe.engine == "embedded":
        from safety_reasoning.builders.teachers.embedded import EmbeddedTeacher

        return EmbeddedTeacher(recipe)
    from safety_reasoning.builders.teachers.openai import OpenAITeacher

    return OpenAITeacher(recipe)
