"""The verbs of `safety-reasoning train`: guards trained from a release."""

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safety_reasoning import mine_verbs, mixture_verbs, preference_verbs

if TYPE_CHECKING:
    from safety_reasoning.train.sft_recipe import TrainRecipe

app = typer.Typer(no_args_is_help=True, help="Train guards from a release.")
app.add_typer(mixture_verbs.app)
app.add_typer(mine_verbs.app)
app.add_typer(preference_verbs.app)

RecipeArgument = Annotated[
    Path, typer.Argument(help="The recipe, a TOML file with [model] and [sft].", metavar="RECIPE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@app.command()
def sft(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="The run's folder, in place of the recipe's.")] = None,
    model: Annotated[str | None, typer.Option(help="The base model, in place of the recipe's, to try it out.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="End after so many steps, to try it out.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fine-tune a guard on a mixture, going on where an earlier run stopped."""
    from safety_reasoning.train.model_load import need_train_extra
    from safety_reasoning.train.sft_quiet import quiet
    from safety_reasoning.train.sft_recipe import load_sft_recipe

    loaded = _tried(load_sft_recipe(recipe), out, model, max_steps)
    need_train_extra()
    quiet()

    from safety_reasoning.train.sft import train_guard
    from safety_reasoning.train.sft_arguments import processes
    from safety_reasoning.train.sft_display import TrainingDisplay
    from safety_reasoning.train.sft_mixture import make_ready

    main = processes().is_main_process
    with redirect_stdout(sys.stderr), TrainingDisplay(shown=main) as display:  # what libraries say is no data
        make_ready(recipe, display, loaded)
        trained = train_guard(loaded, display)
    if not main:
        return
    if as_json:
        document = {"out": str(trained.folder), "guard": str(trained.guard), "steps": trained.steps}
        print(json.dumps(document | {"lengths": trained.lengths, "before": trained.before}))
    else:
        done = "was trained before" if trained.before else f"trained for {trained.steps} steps"
        print(f"{loaded.model.name} {loaded.model.version}, {done}, in {trained.guard}")
        print(f"serve it with:\n  vllm serve {trained.guard}")


def _tried(recipe: "TrainRecipe", out: Path | None, model: str | None, max_steps: int | None) -> "TrainRecipe":
    """The recipe with what the command line says in its place."""
    base = {} if model is None else {"base": model, "revision": None}
    steps = {} if max_steps is None else {"max_steps": max_steps}
    place = {} if out is None else {"out": str(out.resolve())}
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update=base),
            "sft": recipe.sft.model_copy(update=steps | place),
        }
    )
