"""The verbs of `safety-reasoning traces`: work on the store of teacher replies."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safety_reasoning import report_verbs
from safety_reasoning.errors import UsageError

if TYPE_CHECKING:
    from safety_reasoning.builders.status import StatusLine

app = typer.Typer(no_args_is_help=True, help="Ask teachers, and look after the store of their replies.")
app.add_typer(report_verbs.app)

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file.", metavar="RECIPE")]
StoreArgument = Annotated[Path, typer.Argument(help="A store, or the recipe that names it.", metavar="STORE")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@app.command()
def generate(
    recipe: RecipeArgument,
    teacher: Annotated[list[str] | None, typer.Option(help="Ask only this teacher; may be given again.")] = None,
    sentences: Annotated[
        list[int] | None,
        typer.Option(min=1, max=10, help="The budget of a rewrite, in place of the recipe's; may be given again."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the teachers what the store lacks, going on where an earlier run stopped; make no release."""
    from safety_reasoning.builders.ask import ask_teachers
    from safety_reasoning.builders.ledger import Ledger
    from safety_reasoning.builders.recipe import load_recipe
    from safety_reasoning.display import Display

    loaded = load_recipe(recipe)
    ledgers: dict[int, Ledger] = {}
    try:
        for budget in sorted(set(sentences or [loaded.release.sentences])):
            release = loaded.release.model_copy(update={"sentences": budget})
            ledgers[budget] = Ledger()
            with Display() as display:
                asked = loaded.model_copy(update={"release": release})
                ask_teachers(asked, display, ledgers[budget], teacher or ())
    finally:  # however it ended: the summary says what is left
        if as_json:
            summaries = [{"sentences": budget} | ledger.summary() for budget, ledger in ledgers.items()]
            print(json.dumps(summaries if sentences else summaries[0]))
        else:
            for ledger in ledgers.values():
                whole = ledger.all()
                print(
                    f"{whole.replies} replies were added, {whole.before} were there, {max(whole.left, 0)} are missing"
                )


@app.command()
def status(store: StoreArgument, as_json: JsonOption = False) -> None:
    """How far it has come, by teacher and step: done, failed, in flight, tokens, cost, rate, ETA."""
    from safety_reasoning.builders.status import status as lines_of
    from safety_reasoning.builders.store import in_use, view_store

    path = _store_path(store)
    with view_store(path) as opened:
        running = in_use(path)
        lines = lines_of(opened.tallies(), opened.progress(), running=running)
        spent = opened.spent()
    if as_json:
        document = {"running": running, "spent": dataclasses.asdict(spent)}
        print(json.dumps(document | {"lines": [dataclasses.asdict(line) for line in lines]}))
        return
    for row in _columns([_HEAD, *(_cells(line) for line in lines)]):
        print(row)
    print(f"{spent.calls} calls so far, {spent.tokens} tokens; {'a run is' if running else 'no run is'} working on it")


_HEAD = (
    *("teacher", "step", "done", "of", "in flight", "failed", "tokens in", "tokens out", "mean s", "USD"),
    *("per s", "ETA"),
)


def _cells(line: "StatusLine") -> tuple[str, ...]:
    from safety_reasoning.display import clock

    failed = ", ".join(f"{count} {reason}" for reason, count in sorted(line.failed.items()))
    return (
        line.teacher,
        line.step,
        str(line.replies if line.done is None else line.done),
        _or_dash(line.total),
        str(line.in_flight),
        failed or "0",
        str(line.prompt_tokens),
        str(line.completion_tokens),
        f"{line.mean_latency_s:.2f}",
        _or_dash(line.cost_usd, ".2f"),
        _or_dash(line.rate_per_s, ".1f"),
        "-" if line.eta_s is None else clock(line.eta_s),
    )


def _or_dash(value: float | None, form: str = "") -> str:
    return "-" if value is None else format(value, form)


def _columns(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


@app.command()
def export(
    store: StoreArgument,
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.", metavar="OUT")],
) -> None:
    """Write every reply to one Parquet file, sorted by key."""
    from safety_reasoning.builders.parts import write_replies
    from safety_reasoning.builders.store import view_store

    with view_store(_store_path(store)) as opened:
        print(f"{write_replies(out, opened)} replies, in {out}")


@app.command("import")
def import_(
    store: StoreArgument,
    parts: Annotated[list[Path], typer.Argument(help="Parquet parts, or folders of them.", metavar="PART…")],
) -> None:
    """Merge parts of replies into the store; what is there already stays as it is."""
    from safety_reasoning.builders.parts import merge
    from safety_reasoning.builders.store import open_store

    files = [file for part in parts for file in _part_files(part)]
    with open_store(_store_path(store)) as opened:
        new, there = merge(opened, files)
    print(f"{new} replies were new, {there} were there already, in {len(files)} parts")


@app.command()
def retry(
    store: StoreArgument,
    reason: Annotated[list[str], typer.Option(help="A status: truncated, rejected, empty_reasoning, …")],
    teacher: Annotated[str | None, typer.Option(help="Of this teacher alone.")] = None,
    step: Annotated[str | None, typer.Option(help="Of this step alone.")] = None,
) -> None:
    """Put replies that ended so aside, so that the next run asks for them again."""
    from safety_reasoning.builders.store import open_store

    statuses = [_status(name) for name in reason]
    path = _store_path(store)
    if not path.is_file():
        raise UsageError(f"there is no store at {path}")
    with open_store(path) as opened:
        there = {(tally.teacher, tally.step) for tally in opened.tallies()}
        _refuse_unknown("teacher", teacher, {name for name, _ in there})
        _refuse_unknown("step", step, {name for _, name in there})
        for status in statuses:
            print(f"{opened.retire(status, teacher=teacher, step=step)} × {status} will be asked for again")


def _refuse_unknown(what: str, given: str | None, known: set[str]) -> None:
    if given is not None and given not in known:
        raise UsageError(f"the store has no reply of the {what} {given!r}", fix=f"use {', '.join(sorted(known))}")


def _status(name: str) -> Any:
    from safety_reasoning.builders.calls import Status

    allowed = [str(status) for status in Status if status is not Status.OK]
    if name not in allowed:
        raise UsageError(f"no reply can be asked for again because of {name!r}", fix=f"use {', '.join(allowed)}")
    return Status(name)


def _store_path(given: Path) -> Path:
    from safety_reasoning.builders.recipe import load_recipe

    return Path(load_recipe(given).release.store) if given.suffix == ".toml" else given


def _part_files(part: Path) -> list[Path]:
    if part.is_dir():
        files = sorted(part.rglob("*.parquet"))
        if not files:
            raise UsageError(f"{part} holds no part", fix="give the parts that `traces export` or a ray engine wrote")
        return files
    if not part.is_file():
        raise UsageError(f"{part} does not exist")
    return [part]
