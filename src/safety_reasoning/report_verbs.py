"""The verb `traces report`: what a store holds, in tables and figures."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from safety_reasoning.review.report import Report

app = typer.Typer()
_SAY_EVERY_S = 10.0
_Item = TypeVar("_Item")


@app.command()
def report(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.", metavar="RECIPE")],
    out: Annotated[
        Path | None, typer.Option(help="The HTML file to write; without it, one beside the store.", metavar="FILE")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the tables as one JSON document; HTML only with --out.")
    ] = False,
) -> None:
    """Say what the store's traces are worth: kept and dropped, lengths, mismatch, agreement, budgets, examples."""
    from safety_reasoning.builders.recipe import load_recipe
    from safety_reasoning.review.report_page import report_page
    from safety_reasoning.review.report_run import make_room, report_store, write_page

    loaded = load_recipe(recipe)
    if out is None and not as_json:
        out = _beside(Path(loaded.release.store))
    if out is not None:
        make_room(out)
    made = report_store(loaded, _Watch())
    if out is not None:
        write_page(out, report_page(made))
    if as_json:
        print(json.dumps(made.as_json(), ensure_ascii=True))
    elif out is not None:
        _show(made, out)


def _beside(store: Path) -> Path:
    return store.with_name(f"{store.stem}-report.html")


def _show(made: "Report", out: Path) -> None:
    for teacher, step, asked, _, kept, _, released in made.table("summary").rows:
        print(f"{teacher}, {step}: {asked} traces asked for, {kept} kept, {released} released")
    for reason, attempts in sorted(made.attempts.items(), key=lambda item: (-item[1], item[0])):
        print(f"  {attempts} × {reason}")
    if made.unfinished:
        print(f"the store is not finished: {made.unfinished} of {made.chains} chains of calls lack a reply")
    print(f"the report is in {out.relative_to(Path.cwd()) if out.is_relative_to(Path.cwd()) else out}")


class _Watch:
    """Says on stderr how far it is: a live line on a terminal, a plain one now and then elsewhere."""

    def each(self, what: str, items: Iterable[_Item], total: int) -> Iterable[_Item]:
        """The items, one by one."""
        if not sys.stderr.isatty():
            return self._plain(what, items, total)
        from rich.console import Console
        from rich.progress import track

        return track(items, what, total, console=Console(stderr=True))

    def _plain(self, what: str, items: Iterable[_Item], total: int) -> Iterator[_Item]:
        from safety_reasoning.display import clock

        print(f"reading {total} {what} …", file=sys.stderr, flush=True)
        began = said = time.monotonic()
        for number, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if now - said > _SAY_EVERY_S:
                said = now
                left = clock((now - began) * (total - number) / number)
                print(f"{number}/{total} {what}, ETA {left}", file=sys.stderr, flush=True)
