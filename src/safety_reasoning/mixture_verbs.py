"""The verbs of mixtures: from a release to what a guard is trained on, here or elsewhere."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from safety_reasoning.train.export import Exported

app = typer.Typer()
export_app = typer.Typer(no_args_is_help=True, help="Write a mixture as another project reads it.")
app.add_typer(export_app, name="export")

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file with [mixture].", metavar="RECIPE")]
MixtureArgument = Annotated[Path, typer.Argument(help="The folder of a mixture.", metavar="MIXTURE")]
OutArgument = Annotated[Path, typer.Argument(help="The folder to write; it is replaced as a whole.", metavar="OUT")]
ModelOption = Annotated[str, typer.Option(help="The model to train, as the Hub names it, or its folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@app.command()
def mix(recipe: RecipeArgument, as_json: JsonOption = False) -> None:
    """Make the mixture of a recipe: the conversations that a guard is trained on, as a data set."""
    from safety_reasoning.builders.load_back import load_back
    from safety_reasoning.display import Display
    from safety_reasoning.train.mixture import make_mixture
    from safety_reasoning.train.mixture_recipe import load_mixture_recipe

    loaded = load_mixture_recipe(recipe)
    with Display() as display:
        stated = make_mixture(loaded, display)
        display.stage("loading it back")
        load_back(Path(loaded.out), stated)
    if as_json:
        print(json.dumps({"out": loaded.out, "mixture": stated}, ensure_ascii=False))
    else:
        _show(Path(loaded.out), stated)


def _show(out: Path, stated: dict[str, Any]) -> None:
    place = out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out
    print(f"{stated['name']} {stated['version']}, in {place}")
    print(f"  {stated['rows']} rows, hash {stated['hash'][:16]}")
    for part in stated["parts"]:
        release = part["release"]
        print(f"  {part['task']}: {part['rows']} rows of {part['usable']} usable ones of {release['name']}")
    for name in ("mode", "teacher"):
        counts = stated["counts"][name]
        print(f"  {name}: {', '.join(f'{value} {rows}' for value, rows in counts.items()) or 'none'}")
    for item in stated["left_out"]:
        print(f"  left out of {item['task']}: {item['rows']} × {item['reason']}")
    _show_decontamination(stated["decontamination"])


def _show_decontamination(judged: dict[str, Any] | None) -> None:
    if judged is None:
        print("  not compared with any benchmark")
        return
    for benchmark in judged["benchmarks"]:
        found = ", ".join(f"{rows} {kind}" for kind, rows in benchmark["rows_left_out"].items())
        short = benchmark["texts_too_short_for_ngrams"]
        print(f"  {benchmark['name']}: {benchmark['texts']} texts ({short} too short for n-grams), found: {found}")
    print(f"  too short to be judged by n-grams: {judged['rows_too_short']} rows, which are in the mixture")


@export_app.command()
def llamafactory(
    mixture: MixtureArgument,
    out: OutArgument,
    model: ModelOption = "meta-llama/Llama-3.1-8B-Instruct",
    template: Annotated[str, typer.Option(help="LlamaFactory's name of the chat template; '': by the model.")] = "",
    epochs: Annotated[float, typer.Option(min=0, help="Passes over the rows.")] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Data, dataset_info.json and a YAML with the paper's hyper-parameters, for `llamafactory-cli train`."""
    from safety_reasoning.train.export_llamafactory import export_llamafactory

    _report(export_llamafactory(mixture, out, model=model, template=template, epochs=epochs), as_json)


@export_app.command()
def axolotl(
    mixture: MixtureArgument,
    out: OutArgument,
    model: ModelOption = "meta-llama/Llama-3.1-8B-Instruct",
    epochs: Annotated[float, typer.Option(min=0, help="Passes over the rows.")] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Data and a YAML with the paper's hyper-parameters, for `axolotl train`."""
    from safety_reasoning.train.export_axolotl import export_axolotl

    _report(export_axolotl(mixture, out, model=model, epochs=epochs), as_json)


@export_app.command()
def verl(
    mixture: MixtureArgument,
    out: OutArgument,
    model: ModelOption,
    held_back: Annotated[int, typer.Option(min=1, help="Rows to validate on, at most a tenth.")] = 256,
    as_json: JsonOption = False,
) -> None:
    """Parquet, the reward function and a launch script, for GRPO with verl (paper, Appendix F)."""
    from safety_reasoning.train.export_verl import export_verl

    _report(export_verl(mixture, out, model=model, held_back=held_back), as_json)


def _report(exported: "Exported", as_json: bool) -> None:
    if as_json:
        print(json.dumps(exported.as_json()))
        return
    print(f"{exported.rows} rows of mixture {exported.mixture_hash[:16]}, in {exported.out}")
    for name in exported.files:
        print(f"  {name}")
    for warning in exported.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"start it with:\n  {exported.start}")
