"""What the verbs that train have in common: their options, their libraries, and what they print."""

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from safety_reasoning.train.sft_recipe import ModelRecipe, Tried
    from safety_reasoning.train.training import Trained
    from safety_reasoning.train.training_progress import TrainingProgress

OutOption = Annotated[Path | None, typer.Option(help="The run's folder, in place of the recipe's.")]
ModelOption = Annotated[str | None, typer.Option(help="The model to begin with, in place of the recipe's.")]
StepsOption = Annotated[int | None, typer.Option(min=1, help="End after so many steps, to try it out.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


def tried(
    model: "ModelRecipe", recipe: "Tried", out: Path | None, base: str | None, max_steps: int | None
) -> "tuple[ModelRecipe, Tried]":
    """The tables with what the command line says in their place."""
    changed = {} if base is None else {"base": base, "revision": None}
    steps = {} if max_steps is None else {"max_steps": max_steps}
    place = {} if out is None else {"out": str(out.resolve())}
    return model.model_copy(update=changed), recipe.model_copy(update=steps | place)


def ready() -> None:
    """See that the training libraries are there, and that they are quiet. Raises: UsageError naming the extra."""
    from safety_reasoning.train.model_load import need_train_extra
    from safety_reasoning.train.training_quiet import quiet

    need_train_extra()
    quiet()


def train(model: "ModelRecipe", as_json: bool, run: "Callable[[TrainingProgress], Trained]") -> None:
    """Train with progress on stderr, and print what became of it, once for all processes."""
    from safety_reasoning.train.training_arguments import processes
    from safety_reasoning.train.training_display import TrainingDisplay

    main = processes().is_main_process
    with redirect_stdout(sys.stderr), TrainingDisplay(shown=main) as display:  # what libraries say is no data
        trained = run(display)
    if not main:
        return
    if as_json:
        document = {"out": str(trained.folder), "guard": str(trained.guard), "steps": trained.steps}
        typer.echo(json.dumps(document | {"lengths": trained.lengths, "before": trained.before}))
    else:
        done = "was trained before" if trained.before else f"trained for {trained.steps} steps"
        typer.echo(f"{model.name} {model.version}, {done}, in {trained.guard}")
        typer.echo(f"serve it with:\n  vllm serve {trained.guard}")
