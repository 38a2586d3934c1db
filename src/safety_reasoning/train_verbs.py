"""The verbs of `safety-reasoning train`: guards trained from a release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safety_reasoning import mine_verbs, mixture_verbs, preference_verbs
from safety_reasoning.train_options import JsonOption, ModelOption, OutOption, StepsOption, ready, train, tried

if TYPE_CHECKING:
    from safety_reasoning.train.training import Trained
    from safety_reasoning.train.training_progress import TrainingProgress

app = typer.Typer(no_args_is_help=True, help="Train guards from a release.")
app.add_typer(mixture_verbs.app)
app.add_typer(mine_verbs.app)
app.add_typer(preference_verbs.app)

RecipeArgument = Annotated[
    Path, typer.Argument(help="The recipe, a TOML file with [model] and [sft].", metavar="RECIPE")
]


@app.command()
def sft(
    recipe: RecipeArgument,
    out: OutOption = None,
    model: ModelOption = None,
    max_steps: StepsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a guard on a mixture, going on where an earlier run stopped."""
    from safety_reasoning.train.sft_recipe import TrainRecipe, load_sft_recipe

    read = load_sft_recipe(recipe)
    base, tables = tried(read.model, read.sft, out, model, max_steps)
    loaded = TrainRecipe(model=base, sft=tables)
    ready()

    from safety_reasoning.train.sft import train_guard
    from safety_reasoning.train.training_mixture import make_ready

    def made_and_trained(display: "TrainingProgress") -> "Trained":
        make_ready(recipe, display, loaded)
        return train_guard(loaded, display)

    train(base, as_json, made_and_trained)
