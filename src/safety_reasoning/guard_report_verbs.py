"""The verb `report`: what runs of guards give, beside the paper's numbers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safety_reasoning.errors import UsageError
from safety_reasoning.score_options import pairs, refuse_twice

if TYPE_CHECKING:
    from safety_reasoning.eval.report.report import Report
    from safety_reasoning.eval.scores.comparable import Ground

app = typer.Typer()


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `eval run` wrote.", metavar="RUN…")],
    out: Annotated[Path | None, typer.Option(help="The HTML file to write.", metavar="FILE")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The Markdown file to write.", metavar="FILE")] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option("--as", help="The row of the paper that a run is of; may be repeated.", metavar="RUN=ROW"),
    ] = None,
    items: Annotated[
        list[str] | None,
        typer.Option(
            help="A benchmark's file or folder, to show its texts beside failures; may be repeated.",
            metavar="TASK=PLACE",
        ),
    ] = None,
    force: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare runs though they differ in this (data, labels, policy, prompt, sampling); may be repeated.",
            metavar="GROUND",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws of an interval.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tables as one JSON document.")] = False,
) -> None:
    """Say how good guards are: tables and figures of the paper from runs, beside the paper's numbers."""
    from safety_reasoning.eval.report.compose import make_report
    from safety_reasoning.eval.report.items import read_items
    from safety_reasoning.eval.report.markdown import report_markdown
    from safety_reasoning.eval.report.page import report_page
    from safety_reasoning.eval.runs.folder import read_run
    from safety_reasoning.review.report_run import make_room, write_page

    if out is None and markdown is None and not as_json:
        raise UsageError(
            "there is nowhere to write the report", fix="give --out FILE.html, --markdown FILE.md or --json"
        )
    if out is not None and markdown is not None and out.resolve() == markdown.resolve():
        raise UsageError(f"--out and --markdown are one file, {out}", fix="name a file for each")
    refuse_twice(runs)
    for path in (out, markdown):
        if path is not None:
            make_room(path)
    grounds = _grounds(force)
    read = [read_run(path) for path in runs]
    places = pairs(items, "--items", "TASK=PLACE")
    made = make_report(
        read,
        rows=pairs(rows, "--as", "RUN=ROW"),
        items=read_items(read, places),
        force=grounds,
        draws=draws,
    )
    if out is not None:
        write_page(out, report_page(made))
    if markdown is not None:
        write_page(markdown, report_markdown(made))
    if as_json:
        print(json.dumps(made.as_json(), ensure_ascii=True))
    else:
        _show(made, [path for path in (out, markdown) if path is not None])


def _grounds(given: list[str] | None) -> frozenset["Ground"]:
    from safety_reasoning.eval.scores.comparable import Ground

    known = [ground.value for ground in Ground]
    for name in given or ():
        if name not in known:
            raise UsageError(f"--force {name}: runs cannot differ in that", fix=f"one of {', '.join(known)}")
    return frozenset(map(Ground, given or ()))


def _show(made: "Report", written: list[Path]) -> None:
    for row in made.table("runs").rows:
        run, paper_row, *_ = row
        print(f"{run}: {f'row {paper_row} of the paper' if paper_row else 'no row of the paper'}")
    for grid in (grid for section in made.sections for grid in section.grids):
        if grid.regenerated:
            print(f"  {grid.title}: {grid.regenerated} of {len(grid.cells)} cells")
    for warning in made.warnings:
        print(f"beware: {warning}")
    for path in written:
        print(f"the report is in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
