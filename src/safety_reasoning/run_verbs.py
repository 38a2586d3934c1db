"""The verb `eval run`: what a guard answers to the items of tasks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from safety_reasoning.eval.runs.folder import Run

app = typer.Typer()

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file with [run].", metavar="RECIPE")]
RetryOption = Annotated[
    list[str] | None, typer.Option("--retry", help="Ask again for replies that ended so (may be repeated).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@app.command()
def run(recipe: RecipeArgument, retry: RetryOption = None, as_json: JsonOption = False) -> None:
    """Ask a guard about the items of tasks, going on where an earlier run stopped; its answers become one file."""
    from safety_reasoning.builders.ledger import Ledger
    from safety_reasoning.display import Display
    from safety_reasoning.eval.runs.recipe import load_run_recipe
    from safety_reasoning.eval.runs.retry import statuses
    from safety_reasoning.eval.runs.run import run as ask
    from safety_reasoning.eval.runs.summary import summary

    loaded, ledger, again = load_run_recipe(recipe), Ledger(), statuses(retry or ())
    with Display() as display:
        done = ask(loaded, display, ledger, again)
    lines = summary(done.rows)
    if as_json:
        tasks = {line.task: line.as_json() for line in lines}
        print(json.dumps({"out": str(done.path), "asked": ledger.summary(), "tasks": tasks}, ensure_ascii=False))
    else:
        _show(done, [str(line) for line in lines])


def _show(done: "Run", lines: list[str]) -> None:
    place = done.path.relative_to(Path.cwd()) if done.path.is_relative_to(Path.cwd()) else done.path
    print(f"{done.stated['name']}: {done.rows.height} rows, in {place}")
    for line in lines:
        print(f"  {line}")
    print(f"score them with: safety-reasoning eval score {place}")
