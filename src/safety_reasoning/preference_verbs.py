"""The verbs `train dpo` and `train grpo`: a guard goes on from its own right and wrong answers."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from safety_reasoning.train.preference_recipe import Tune
    from safety_reasoning.train.sft_progress import TrainingProgress
    from safety_reasoning.train.sft_recipe import ModelRecipe
    from safety_reasoning.train.training import Trained

app = typer.Typer()

DpoArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file with [model] and [dpo].", metavar="RECIPE")]
GrpoArgument = Annotated[
    Path, typer.Argument(help="The recipe, a TOML file with [model] and [grpo].", metavar="RECIPE")
]
OutOption = Annotated[Path | None, typer.Option(help="The run's folder, in place of the recipe's.")]
ModelOption = Annotated[str | None, typer.Option(help="The guard to begin with, in place of the recipe's.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="End after so many steps, to try it out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


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

    base, loaded = _tried(*load_tune_recipe(recipe, DpoRecipe), out, model, max_steps)
    _ready()

    from safety_reasoning.train.preference import train_dpo

    _train(base, as_json, lambda display: train_dpo(base, loaded, display))


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

    base, loaded = _tried(*load_tune_recipe(recipe, GrpoRecipe), out, model, max_steps)
    _ready()

    from safety_reasoning.train.grpo import train_grpo

    _train(base, as_json, lambda display: train_grpo(base, loaded, display))


def _tried(
    model: "ModelRecipe", recipe: "Tune", out: Path | None, base: str | None, max_steps: int | None
) -> "tuple[ModelRecipe, Tune]":
    """The tables with what the command line says in their place."""
    changed = {} if base is None else {"base": base, "revision": None}
    steps = {} if max_steps is None else {"max_steps": max_steps}
    place = {} if out is None else {"out": str(out.resolve())}
    return model.model_copy(update=changed), recipe.model_copy(update=steps | place)


def _ready() -> None:
    """See that the training libraries are there, and that they are quiet."""
    from safety_reasoning.train.model_load import need_train_extra
    from safety_reasoning.train.sft_quiet import quiet

    need_train_extra()
    quiet()


def _train(model: "ModelRecipe", as_json: bool, train: "Callable[[TrainingProgress], Trained]") -> None:
    from safety_reasoning.train.sft_arguments import processes
    from safety_reasoning.train.sft_display import TrainingDisplay

    main = processes().is_main_process
    with redirect_stdout(sys.stderr), TrainingDisplay(shown=main) as display:  # what libraries say is no data
        trained = train(display)
    if not main:
        return
    if as_json:
        document = {"out": str(trained.folder), "guard": str(trained.guard), "steps": trained.steps}
        print(json.dumps(document | {"lengths": trained.lengths, "before": trained.before}))
    else:
        done = "was trained before" if trained.before else f"trained for {trained.steps} steps"
        print(f"{model.name} {model.version}, {done}, in {trained.guard}")
        print(f"serve it with:\n  vllm serve {trained.guard}")
