"""The verbs `train dpo` and `train grpo`: a guard goes on from its own right and wrong answers."""

from pathlib import Path
from typing import Annotated

import typer

from safety_reasoning.train_options import JsonOption, ModelOption, OutOption, StepsOption, ready, train, tried

app = typer.Typer()

DpoArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file with [model] and [dpo].", metavar="RECIPE")]
GrpoArgument = Annotated[
    Path, typer.Argument(help="The recipe, a TOML file with [model] and [grpo].", metavar="RECIPE")
]


@app.command()
def dpo(
    recipe: DpoArgument,
    out: OutOption = None,
    model: ModelOption = None,
    max_steps: StepsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a guard to prefer its right answers to its wrong ones (DPO), on what `train mine` found."""
    from safety_reasoning.train.preference_recipe import DpoRecipe, load_tune_recipe

    base, loaded = tried(*load_tune_recipe(recipe, DpoRecipe), out, model, max_steps)
    ready()

    from safety_reasoning.train.preference import train_dpo

    train(base, as_json, lambda display: train_dpo(base, loaded, display))


@app.command()
def grpo(
    recipe: GrpoArgument,
    out: OutOption = None,
    model: ModelOption = None,
    max_steps: StepsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a guard on what its answers are worth (GRPO), on what `train mine` found."""
    from safety_reasoning.train.preference_recipe import GrpoRecipe, load_tune_recipe

    base, loaded = tried(*load_tune_recipe(recipe, GrpoRecipe), out, model, max_steps)
    ready()

    from safety_reasoning.train.grpo import train_grpo

    train(base, as_json, lambda display: train_grpo(base, loaded, display))
