"""The verbs of versions: what lies between two releases, and which version follows."""

import datetime
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safety_reasoning.errors import UsageError
from safety_reasoning.hub_verbs import calm_the_library

if TYPE_CHECKING:
    from safety_reasoning.hub.reading_published import Imported

app = typer.Typer()


class Naming(StrEnum):
    """The names of teacher columns that a release can have."""

    CARD = "card"
    PUBLISHED = "published"


_PLACE = "A folder, OWNER/NAME[@REVISION] or hf://datasets/OWNER/NAME[@REVISION]."
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]


@app.command()
def diff(
    old: Annotated[str, typer.Argument(help=_PLACE)],
    new: Annotated[str, typer.Argument(help=_PLACE)],
    samples: Annotated[int, typer.Option(min=0, help="Rows of each kind that are shown.")] = 5,
    as_json: JsonOption = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as for a pull request.")] = False,
) -> None:
    """Say what lies between two releases: schema, rows, labels, mismatches, traces, and the next version."""
    from safety_reasoning.hub.diff import diff as compare

    calm_the_library()
    if as_json and as_markdown:
        raise UsageError("--json and --markdown are two forms of one output", fix="give one of them")
    found = compare(old, new, samples=samples)
    if as_json:
        print(json.dumps(found.as_json(), ensure_ascii=True))
    elif as_markdown:
        from safety_reasoning.hub.diff_markdown import as_markdown as write

        print(write(found))
    else:
        from safety_reasoning.hub.diff_text import as_text

        print(as_text(found))


@app.command()
def bump(
    release: Annotated[Path, typer.Argument(help="The release folder that is stamped.", metavar="RELEASE")],
    old: Annotated[str, typer.Argument(help=f"What it follows. {_PLACE} `none` for a first version.")],
    set_to: Annotated[str | None, typer.Option("--set", help="This version, not the one that follows.")] = None,
    date: Annotated[str | None, typer.Option(help="The day that the changelog states, as YYYY-MM-DD.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Give a release its next version: in its manifest, its card, CHANGELOG.md and croissant.json."""
    from safety_reasoning.hub.versions_bump import bump as stamp

    calm_the_library()
    done = stamp(release, old, chosen=set_to, date=None if date is None else _day(date))
    if as_json:
        since = None if done.since is None else str(done.since)
        found = None if done.diff is None else done.diff.as_json()
        print(json.dumps({"version": str(done.version), "since": since, "diff": found}, ensure_ascii=True))
        return
    if done.diff is None:
        why = "the first one"
    else:
        why = done.diff.why if done.diff.nothing_changed else f"{done.diff.level}, since {done.diff.why}"
    print(f"{release}: version {done.version}{f', after {done.since}' if done.since else ''} ({why})")


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help=f"A reasoning release that is published. {_PLACE}")],
    out: Annotated[Path, typer.Argument(help="The release folder to write.", metavar="OUT")],
    name: Annotated[str | None, typer.Option(help="The data set's name; that of the source, if not given.")] = None,
    repo: Annotated[str, typer.Option(help="OWNER/NAME where it will be published, for the card.")] = "",
    keep: Annotated[
        str, typer.Option(help="any, majority or all of the teachers agree, or the one named does.")
    ] = "any",
    columns: Annotated[Naming, typer.Option(help="Whose column names are written.")] = Naming.CARD,
    as_json: JsonOption = False,
) -> None:
    """Make a release of a published one: its columns under one naming, filtered, valid, loadable in one call."""
    from safety_reasoning.display import Display
    from safety_reasoning.hub.reading_published import Wanted, import_published

    calm_the_library()
    with Display() as display:
        wanted = Wanted(out=out, name=name, repo=repo, keep=keep, columns=columns.value)
        done = import_published(source, wanted, display)
    if as_json:
        print(json.dumps({"out": str(done.out), "deviations": done.deviations, "manifest": done.manifest}))
    else:
        _show_import(done, out)


def _show_import(done: "Imported", out: Path) -> None:
    from safety_reasoning.printable import printable

    for deviation in done.deviations:
        print(f"the source deviates: {printable(deviation)}")
    for file in done.manifest["sources"][0]["files"]:
        ignored = (
            f"; columns that are no teacher's: {', '.join(map(printable, c))}" if (c := file["ignored_columns"]) else ""
        )
        print(f"read: {file['name']}, {file['rows']} rows{ignored}")
    for config, count in done.loaded.items():
        print(f"released: {count} records of {config}")
    for item in done.manifest["left_out"]:
        print(f"  left out of {item['config']}: {item['rows']} × {item['reason']}")
    for item in done.manifest["dropped_traces"]:
        print(f"  traces dropped: {item['traces']} × {item['reason']} ({item['teacher']}, {item['step']})")
    print(f"the release is in {out}; give it a version with `safety-reasoning bump {out} none`")


def _day(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise UsageError(f"{text!r} is no date", fix="give YYYY-MM-DD") from error
