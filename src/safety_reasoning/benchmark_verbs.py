"""The verb `eval benchmarks`: what benchmarks there are, and whether a file is one of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safety_reasoning.errors import UsageError

if TYPE_CHECKING:
    from safety_reasoning.eval.benchmarks.overview import Line
    from safety_reasoning.eval.benchmarks.task import Task

app = typer.Typer()
_SHOWN = 20


@app.command()
def benchmarks(
    name: Annotated[str | None, typer.Argument(help="Read and check this one; without it, list all.")] = None,
    place: Annotated[
        Path | None, typer.Option(help="Its file, or a folder that holds it; without it, the Hub.", metavar="PATH")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="The reading of its rule; without it, the default one.")] = None,
    as_they_are: Annotated[
        bool,
        typer.Option("--as-they-are", help="Take a file with other counts than declared, and say how they differ."),
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="List them as Markdown tables.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """List the benchmarks, or read one, hold it against its declaration and count its items."""
    if name is None:
        if place is not None or preset is not None or as_they_are:
            raise UsageError("no benchmark is named", fix="safety-reasoning eval benchmarks NAME --place PATH")
        _list(as_markdown=as_markdown, as_json=as_json)
        return
    from safety_reasoning.eval.benchmarks.load import load_task
    from safety_reasoning.eval.benchmarks.overview import breakdown

    task = load_task(name, place=place, preset=preset, counts="as they are" if as_they_are else "declared")
    if as_json:
        print(json.dumps({**task.stated, "by": breakdown(task)}, ensure_ascii=True))
    else:
        _show(task)


def _list(*, as_markdown: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from safety_reasoning.eval.benchmarks.overview import lines, markdown

    if as_json:
        print(json.dumps([asdict(line) for line in lines()], ensure_ascii=True))
    elif as_markdown:
        print(markdown())
    else:
        for line in lines():
            print(_in_columns(line))
        print("positive of all labelled rows; ? is not known; * is the preset that is taken unasked")


def _in_columns(line: "Line") -> str:
    chosen = line.preset + ("*" if line.default else "")
    counts = f"{_number(line.positives)} of {_number(line.rows)}"
    host, _, path = line.source.removeprefix("https://").partition("/")
    source = f"{host}/…/{path.rpartition('/')[2]}" if line.source.startswith("https://") else line.source
    marks = ", ".join(["gated"] * line.gated + ["not pinned"] * (not line.revision))
    return f"{line.task:29}{line.subject:10}{chosen:19}{counts:>13}  {source}{f' ({marks})' if marks else ''}"


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)


def _show(task: "Task") -> None:
    from safety_reasoning.eval.benchmarks.overview import breakdown

    said, positive = task.stated, task.stated["positive_class"]
    print(f"{task.name}, preset {said['preset']}: {said['rows']} items, {said['positives']} {positive}")
    print(f"  {said['source']}, {said['revision'] or 'sha256 ' + said['sha256']}")
    print(f"  {said['label_rule']}")
    print("".join(f"  other than declared: {difference}\n" for difference in said["differences"]), end="")
    print("".join(f"  left out: {rows} × {reason}\n" for reason, rows in said["left_out"].items()), end="")
    print("".join(f"  no column {name}: nothing to break down by\n" for name in said["no_breakdown_by"]), end="")
    for what, groups in breakdown(task).items():
        if [group["name"] for group in groups] != ["(none)"]:
            _show_groups(what, groups, positive)


def _show_groups(what: str, groups: list[dict[str, Any]], positive: str) -> None:
    print(f"  by {what}:")
    for group in groups[:_SHOWN]:
        print(f"    {group['items']:6} {ascii(group['name'])[1:-1]} ({group['positives']} {positive})")
    if len(groups) > _SHOWN:
        print(f"    … and {len(groups) - _SHOWN} more (--json shows all)")
