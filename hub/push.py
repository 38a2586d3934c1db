"""Push a release or a guard to the Hub: checked, planned, in one commit, tagged, read back.

Whatever breaks off, the branch holds the release before or this one whole, since one commit carries all of it. A push
that is run again finds out from the Hub how far the last one came: what is uploaded stays uploaded, a commit that was
made is not made again, a tag that is missing is set.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.check_dataset import check_dataset
from safety_reasoning.hub.check_model import check_model
from safety_reasoning.hub.connection import Connection, Operation, set_time_limits
from safety_reasoning.hub.faults import Patience
from safety_reasoning.hub.folder import refuse_links
from safety_reasoning.hub.names import refuse_branch, refuse_repo
from safety_reasoning.hub.plan import Plan, Target, make_plan, size
from safety_reasoning.hub.read_back import compare_files, load_from_hub
from safety_reasoning.hub.release import TAG, Release, kind_of, read_release, statement_of, version_of
from safety_reasoning.hub.remote import KEPT, Branch, Remote, Tree
from safety_reasoning.hub.tokens import findings, own_secrets

Say = Callable[[str], None]
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Push:
    """A push that was checked and planned, and is not carried out yet."""

    release: Release
    plan: Plan
    connection: Connection
    patience: Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What came of it."""

    commit: str
    """The commit that holds the release; of a pull request, its ref."""
    committed: bool
    tag: str | None
    """None for a pull request."""
    records: Mapping[str, int]
    """Records by config as they were loaded back from the tag, or from the pull request."""


def prepare(
    folder: Path,
    target: Target,
    say: Say,
    *,
    tag: str | None = None,
    allow_token_like: bool = False,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> Push:
    """Check the folder, look at the Hub, and plan; nothing is written there.

    The process's HTTP client of the Hub gets a time limit.

    Raises: UsageError if the folder must not be published, or not there.
    """
    refuse_repo(target.repo)
    refuse_branch(target.branch)
    say(f"checking {folder}")
    refuse_links(folder)
    kind = kind_of(folder)
    if kind == "dataset":
        check_dataset(folder)
    else:
        check_model(folder)
    release = read_release(folder, tag)
    _refuse_secrets(release, allow_token_like=allow_token_like)
    say(f"looking at {target.repo}")
    set_time_limits(patience)
    connection = Connection(target.repo, kind, patience)
    plan = make_plan(release, target, look(connection, target.branch, release.tag))
    return Push(release, plan, connection, patience)


def carry_out(push: Push, say: Say) -> Pushed:
    """Do what the plan says, and read back what the Hub holds then.

    Raises: UsageError saying what stands and how to go on.
    """
    release, target, connection = push.release, push.plan.target, push.connection
    plan = _made_ready(push)
    if plan.parent is None:
        raise UsageError(f"{target.repo} has no branch {target.branch}", fix="make it there, then push again")
    if not plan.commits:
        commit = plan.parent
    elif target.as_pull:
        commit = _as_pull(push, plan, plan.parent, say)
    else:
        commit = _commit(push, plan, plan.parent, say)
    say("comparing the files")
    compare_files(connection, commit, release)
    tag = None if target.as_pull and plan.commits else plan.tag
    if tag is not None and plan.sets_tag:
        say(f"setting the tag {tag}")
        connection.tag(tag, commit, release.files)
    say(f"reading back {tag or commit}")
    if tag is not None:
        compare_files(connection, tag, release)
    records = load_from_hub(target.repo, tag or commit, release.records, push.patience)
    return Pushed(commit=commit, committed=plan.commits, tag=tag, records=records)


def look(connection: Connection, branch: str, tag: str) -> Remote | None:
    """What the repository holds, with one branch and one tag of it; None if there is none."""
    visibility = connection.visibility()
    if visibility is None:
        return None
    refs = connection.refs()
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    tags = {ref.name: ref.target_commit for ref in refs.tags}
    trees = {oid: connection.tree(oid) for oid in {branches.get(branch), tags.get(tag)} if oid}
    private, gated = visibility
    tags_there = [name for name, oid in tags.items() if oid == branches.get(branch)]
    return Remote(
        private=private,
        gated=gated,
        branch=_branch(connection, branches[branch], trees, tags_there) if branch in branches else None,
        main=branches.get("main", ""),
        tagged=trees[tags[tag]] if tag in tags else None,
        tags=frozenset(tags),
    )


def _branch(connection: Connection, head: str, trees: Mapping[str, Tree], tags: Sequence[str]) -> Branch:
    files = trees[head]
    about = statement_of(connection.kind, files)
    stated: dict[str, Any] = connection.json(about, head) if about in files else {}
    listed = stated.get("files")
    if connection.kind == "model" and stated:
        release = tuple(files)
    else:
        release = (*listed, about) if isinstance(listed, dict) else ()
    version = f"v{stated.get('version')}"
    if not TAG.fullmatch(version):  # a guard may have its version by --tag alone
        version = max(filter(TAG.fullmatch, tags), key=version_of, default="")
    return Branch(head=head, files=files, release=release, version=version or None)


def _made_ready(push: Push) -> Plan:
    """The plan once its repository and branch are there, empty where they are new."""
    plan, target, connection = push.plan, push.plan.target, push.connection
    if plan.makes_repo:
        connection.create(private=plan.private)
    if plan.sets_gate and target.gate:
        connection.gate(target.gate)
    if plan.makes_branch and plan.parent:
        connection.branch(target.branch, plan.parent)
    if not plan.makes_repo and not plan.makes_branch:
        return plan
    remote = look(connection, target.branch, plan.tag)
    if plan.makes_repo and remote and remote.branch and set(remote.branch.files) - set(KEPT):
        raise UsageError(
            f"somebody else made {target.repo} meanwhile, with other files in it",
            fix="look at it, then push again: the plan will show what that replaces",
        )
    if plan.makes_repo and remote and remote.branch is None and target.branch != "main":
        connection.branch(target.branch, remote.main)
        remote = look(connection, target.branch, plan.tag)
    return make_plan(push.release, target, remote)


def _commit(push: Push, plan: Plan, parent: str, say: Say) -> str:
    operations = _uploaded(push, plan, say)
    say(f"committing to {plan.target.branch}")
    files = push.release.files
    return push.connection.commit(plan.target.branch, operations, files, parent=parent, title=f"Release {plan.tag}")


def _as_pull(push: Push, plan: Plan, parent: str, say: Say) -> str:
    files = push.release.files
    there = push.connection.pull_of(files)
    if there is not None:
        say(f"{there} holds it already")
        return there
    operations = _uploaded(push, plan, say)
    say("opening a pull request")
    title = f"Release {plan.tag}"
    return push.connection.open_pull(plan.target.branch, operations, files, parent=parent, title=title)


def _uploaded(push: Push, plan: Plan, say: Say) -> Sequence[Operation]:
    """The operations of the commit, once their large files are in the Hub's storage."""
    files = push.release.files
    names = sorted([*plan.add, *plan.change])
    say(f"uploading {len(names)} files, {size(sum(files[name].size for name in names))}")
    additions = [CommitOperationAdd(name, files[name].path) for name in names]
    push.connection.upload(additions, plan.target.branch, as_pull=plan.target.as_pull)
    return [*additions, *(CommitOperationDelete(name, is_folder=False) for name in plan.delete)]


def _refuse_secrets(release: Release, *, allow_token_like: bool) -> None:
    paths = {name: file.path for name, file in release.files.items()}
    found = [f for f in findings(paths, own_secrets()) if f.own or not allow_token_like]
    if found:
        own = any(finding.own for finding in found)
        more = [f"… and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        raise UsageError(
            f"{release.folder} holds what is a secret of this machine, or looks like a secret ({len(found)} ×)",
            why="\n     ".join([*map(str, found[:_SHOWN]), *more]),
            fix="remove it and build the release again, and replace a secret that was ever written to a file"
            if own
            else "look at them; if they are examples and no secrets, say --allow-token-like",
        )
