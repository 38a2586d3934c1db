"""The verb `push`: put a release, or a trained guard, on the Hugging Face Hub."""

import dataclasses
import json
import logging
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safety_reasoning.errors import Stopped, UsageError

if TYPE_CHECKING:
    from safety_reasoning.hub.push import Push, Pushed

app = typer.Typer()


class Gate(StrEnum):
    """Who lets readers in: the Hub at once, or an owner one by one."""

    AUTO = "auto"
    MANUAL = "manual"


@app.command()
def push(
    release: Annotated[Path, typer.Argument(help="The folder of a release, or of a trained guard.", metavar="RELEASE")],
    repo: Annotated[str, typer.Argument(help="The repository, OWNER/NAME.", metavar="REPO")],
    revision: Annotated[str, typer.Option(help="The branch; one that is not there begins at main.")] = "main",
    create: Annotated[bool, typer.Option("--create", help="Make the repository if there is none.")] = False,
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Who sees a new repository (private, if not said)."),
    ] = None,
    gated: Annotated[Gate | None, typer.Option(help="Let only those read it whom its owners let in.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead; sets no tag.")] = False,
    tag: Annotated[str | None, typer.Option(help="vX.Y.Z, for a guard whose training.json states no version.")] = None,
    delete_others: Annotated[
        bool, typer.Option("--delete-others", help="Also delete files that no release put there.")
    ] = False,
    allow_token_like: Annotated[
        bool, typer.Option("--allow-token-like", help="Publish text that only looks like a token.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")] = False,
) -> None:
    """Publish a release in one commit, tag it with its version and read it back; shows the plan first and asks.

    The login is the Hub's own (`hf auth login`, or HF_TOKEN). Interrupted anywhere, it can be run again.
    """
    from safety_reasoning.hub.plan import Target
    from safety_reasoning.hub.push import carry_out, prepare

    calm_the_library()
    target = Target(
        repo=repo,
        branch=revision,
        create=create,
        private=private,
        gate=gated.value if gated else None,
        as_pull=create_pr,
        delete_others=delete_others,
    )
    prepared = prepare(release, target, _say, tag=tag, allow_token_like=allow_token_like)
    _show_plan(prepared, to=sys.stderr if as_json else sys.stdout)
    pushed = None
    if not dry_run:
        _ask(prepared, yes=yes)
        pushed = carry_out(prepared, _say)
    if as_json:
        print(json.dumps(_document(prepared, pushed)))
    elif pushed:
        _show(prepared, pushed)


def _say(text: str) -> None:
    print(f"{text} …", file=sys.stderr, flush=True)


def _show_plan(prepared: "Push", to: Any) -> None:
    from safety_reasoning.hub.plan import lines
    from safety_reasoning.printable import printable

    for line in lines(prepared.plan, prepared.release.files):
        print(line, file=to)
    for name in prepared.release.unpublished:
        print(f"  leave  {printable(name)} (its name begins with a dot)", file=to)


def _ask(prepared: "Push", *, yes: bool) -> None:
    """Return if the plan may be carried out."""
    plan = prepared.plan
    if yes or not (plan.commits or plan.sets_tag or plan.sets_gate):
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was pushed", why="nobody can be asked here", fix="say --yes to push without asking")
    if not typer.confirm("Push this?", err=True):
        raise Stopped("nothing was pushed")


def _show(prepared: "Push", pushed: "Pushed") -> None:
    repo, plan = prepared.plan.target.repo, prepared.plan
    counts = "".join(f", {count} records of {name}" for name, count in pushed.records.items())
    read = f"read back: {len(prepared.release.files)} files{counts}"
    if pushed.tag is None:
        print(f"{repo}: {pushed.commit} holds {plan.tag}; {read}\nmerge it, then push again to set the tag")
        return
    done = "pushed" if pushed.committed else "tagged" if plan.sets_tag else "there already"
    print(f"{repo} {pushed.tag} {done}, at {pushed.commit[:8]}; {read}")
    if plan.kind == "dataset":
        print("load it with:")
        print(f'  from datasets import load_dataset; records = load_dataset("{repo}", revision="{pushed.tag}")')


def _document(prepared: "Push", pushed: "Pushed | None") -> dict[str, Any]:
    plan = dataclasses.asdict(prepared.plan)
    done = None if pushed is None else dataclasses.asdict(pushed) | {"records": dict(pushed.records)}
    return {"plan": plan, "pushed": done}


def calm_the_library() -> None:
    """No bars where nobody watches; no signed address, which is a key to the storage, in what it logs."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(_without_queries)


def _without_queries(record: logging.LogRecord) -> bool:
    record.msg, record.args = re.sub(r"\?[^\s'\"]*", "", record.getMessage()), ()
    return True
