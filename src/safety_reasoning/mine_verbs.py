"""The verb `train mine`: which rows of its own training set a guard finds difficult."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from safety_reasoning.train.mine import Mined

app = typer.Typer()

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file with [mine].", metavar="RECIPE")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@app.command()
def mine(recipe: RecipeArgument, as_json: JsonOption = False) -> None:
    """Ask a guard several times about its training rows, and make a mixture with the difficult ones more often."""
    from safety_reasoning.builders.ledger import Ledger
    from safety_reasoning.builders.load_back import load_back
    from safety_reasoning.display import Display
    from safety_reasoning.hub.release import read_json
    from safety_reasoning.train.mine import mine as run
    from safety_reasoning.train.mine_recipe import load_mine_recipe
    from safety_reasoning.train.mine_write import MIXTURE
    from safety_reasoning.train.mixture_stated import STATED

    loaded = load_mine_recipe(recipe)
    with Display() as display:
        found = run(loaded, display, Ledger())
        mixture = found.out / MIXTURE
        if mixture.is_dir():
            display.stage("loading it back")
            load_back(mixture, read_json(mixture / STATED))
    if as_json:
        print(json.dumps({"out": str(found.out), "mined": found.stated}, ensure_ascii=False))
    else:
        _show(found)
    _need_difficult(found)


def _show(found: "Mined") -> None:
    from safety_reasoning.train.mine_report import in_words

    print(in_words(found.stated["report"]))
    print(f"in {found.out}")
    new = found.stated["new_mixture"]
    if new is not None:
        print(f"a mixture with its difficult rows more often: {found.out / 'mixture'}, {new['rows']} rows")


def _need_difficult(found: "Mined") -> None:
    """Raise UsageError if no row is difficult: whoever goes on by script must notice."""
    from safety_reasoning.errors import UsageError

    if found.stated["new_mixture"] is None:
        low, high = found.stated["keep"]
        raise UsageError(
            f"no row is difficult: none was right {low} to {high} times of {found.stated['generations']}",
            why=f"the counts are in {found.out / 'report.txt'}; no mixture was made",
            fix="choose other bounds (`mine.keep`), more generations or a warmer sampling; nothing is asked twice",
        )
