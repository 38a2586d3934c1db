"""The mixture that a training recipe names: made if it is not there yet, refused if another recipe made it."""

import json
from pathlib import Path

from safety_reasoning.errors import UsageError
from safety_reasoning.recipe_file import read_toml
from safety_reasoning.train.mixture import make_mixture
from safety_reasoning.train.mixture_read import read_mixture
from safety_reasoning.train.mixture_recipe import MixtureRecipe, load_mixture_recipe
from safety_reasoning.train.mixture_stated import STATED
from safety_reasoning.train.sft_recipe import TrainRecipe
from safety_reasoning.train.training_arguments import processes
from safety_reasoning.train.training_prepare import open_parts
from safety_reasoning.train.training_progress import TrainingProgress

_DECIDING = ("mode", "trace", "sentences", "teachers", "choice", "keep_mismatched", "taxonomy", "seed")
"""Fields of [mixture] that its mixture.json states as they are, and that decide which rows there are."""


def make_ready(path: Path, progress: TrainingProgress, training: TrainRecipe | None = None) -> None:
    """See that the mixture of the recipe in a file is there; a file without [mixture] names a folder that must be.

    `training` is what it is made for: whether the model can be trained is looked at first, for a mixture takes minutes.

    Raises: UsageError if it cannot be made, or is that of another recipe, or the model cannot be trained.
    """
    if "mixture" not in read_toml(path):
        return
    recipe = load_mixture_recipe(path)
    state = processes()
    if state.is_main_process and not (Path(recipe.out) / STATED).is_file():
        if training is not None:
            open_parts(training, recipe.marked)
        make_mixture(recipe, progress)
    state.wait_for_everyone()
    _check(recipe, path)


def _check(recipe: MixtureRecipe, path: Path) -> None:
    stated = read_mixture(Path(recipe.out)).stated
    wanted = recipe.model_dump(mode="json", include=set(_DECIDING))
    wanted["parts"] = [{"task": str(part.task), "size": part.size} for part in recipe.parts]
    there = {name: stated.get(name) for name in _DECIDING}
    there["parts"] = [{"task": part.get("task"), "size": part.get("size")} for part in stated.get("parts", [])]
    for name, value in sorted(wanted.items()):
        if there[name] != value:
            raise UsageError(
                f"the mixture in {recipe.out} was made by another recipe",
                why=f"its {name}: {json.dumps(there[name])}, the recipe's: {json.dumps(value)}",
                fix=f"make it again with `safety-reasoning train mix {path}`",
            )
