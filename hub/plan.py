"""What a push would do, from what the folder and the Hub hold; it decides, and does nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.folder import LocalFile
from safety_reasoning.hub.release import TRAINING, Release, version_of
from safety_reasoning.hub.remote import KEPT, Branch, Kind, Remote, differences, same_files
from safety_reasoning.printable import printable
from safety_reasoning.train.mixture_stated import STATED as MIXTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a release is to go, as a person says it."""

    repo: str
    branch: str = "main"
    create: bool = False
    private: bool | None = None
    """None: a new repository is private, one that is there stays as it is."""
    gate: Literal["auto", "manual"] | None = None
    as_pull: bool = False
    delete_others: bool = False
    """Also delete files that no earlier push put there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps, in their order; those that are not needed are empty or False."""

    target: Target
    kind: Kind
    tag: str
    private: bool
    makes_repo: bool
    sets_gate: bool
    makes_branch: bool
    parent: str | None
    """The commit that the branch must still be at; None while there is no repository."""
    version: str | None
    """The version that the branch holds now."""
    add: tuple[str, ...]
    change: tuple[str, ...]
    delete: tuple[str, ...]
    same: tuple[str, ...]
    sets_tag: bool

    @property
    def commits(self) -> bool:
        """Whether the branch does not hold the release yet."""
        return bool(self.add or self.change or self.delete)


def make_plan(release: Release, target: Target, remote: Remote | None) -> Plan:
    """What is to be done to let the target hold the release.

    Raises: UsageError if it must not be done: another content is tagged so, the branch would go back, files that
    are nobody's release would be lost, or the repository is not as it was asked for.
    """
    if remote is None:
        _refuse_missing(target)
    else:
        _refuse_visibility(target, remote)
        _refuse_tag(release, target, remote)
    branch = remote.branch if remote else None
    there = branch.files if branch else {}
    if branch:
        _refuse_going_back(release, target, branch)
        _refuse_ignoring(target, branch)
    plan = Plan(
        target=target,
        kind=release.kind,
        tag=release.tag,
        private=remote.private if remote else target.private is not False,
        makes_repo=remote is None,
        sets_gate=target.gate is not None and (remote is None or remote.gated != target.gate),
        makes_branch=branch is None and target.branch != "main",
        parent=branch.head if branch else remote.main if remote else None,
        version=branch.version if branch else None,
        add=tuple(name for name in release.files if name not in there),
        change=tuple(name for name, file in release.files.items() if name in there and not there[name].holds(file)),
        delete=tuple(sorted(set(there) - set(release.files) - set(KEPT))),
        same=tuple(name for name, file in release.files.items() if name in there and there[name].holds(file)),
        sets_tag=remote is None or remote.tagged is None,
    )
    if branch:
        _refuse_losing(plan, branch)
    return replace(plan, sets_tag=False) if target.as_pull and plan.commits else plan


def _refuse_missing(target: Target) -> None:
    if not target.create:
        raise UsageError(
            f"there is no {target.repo} that this login may see",
            fix="check the name and `hf auth whoami`, or make it with --create (private, unless --public)",
        )


def _refuse_visibility(target: Target, remote: Remote) -> None:
    if target.private is not None and target.private != remote.private:
        asked, found = ("private", "public") if target.private else ("public", "private")
        raise UsageError(
            f"{target.repo} is {found}, not {asked}",
            why="a push does not change who may see a repository that is there",
            fix=f"make it {asked} in its settings, or leave out --{asked}",
        )


def _refuse_tag(release: Release, target: Target, remote: Remote) -> None:
    if target.branch in remote.tags:
        raise UsageError(f"{target.branch} is a tag", why="tags are never moved", fix="give --revision a branch")
    if remote.tagged is not None and not same_files(release.files, remote.tagged):
        told = differences(release.files, remote.tagged)
        raise UsageError(
            f"{target.repo} has a {release.tag} already, with another content",
            why="\n     ".join([f"tags are never moved, and {len(told)} files differ:", *told[:5]]),
            fix=_next_version(release, target),
        )


def _refuse_going_back(release: Release, target: Target, branch: Branch) -> None:
    if branch.version and version_of(branch.version) > version_of(release.tag):
        raise UsageError(
            f"{target.branch} of {target.repo} is at {branch.version} already, this is {release.tag}",
            why="a branch goes forward only: who loads it without a revision would get an older release",
            fix=_next_version(release, target),
        )


def _next_version(release: Release, target: Target) -> str:
    if release.statement == TRAINING:
        return f"give the guard its next version: in {TRAINING} and the card, or with --tag if they state none"
    if release.statement == MIXTURE:
        return "give the mixture its next version in its recipe, and make it again"
    return f"give the release its next version: safety-reasoning bump {release.folder} {target.repo}"


def _refuse_ignoring(target: Target, branch: Branch) -> None:
    if ".gitignore" in branch.files:
        raise UsageError(
            f"{target.repo} has a .gitignore",
            why="the Hub leaves files that it names out of a commit, so that the release could arrive in part",
            fix="delete it there, then push again",
        )


def _refuse_losing(plan: Plan, branch: Branch) -> None:
    others = [name for name in plan.delete if name not in branch.release]
    if others and not plan.target.delete_others:
        shown = ", ".join(map(printable, others[:5])) + (", …" if len(others) > 5 else "")
        raise UsageError(
            f"{plan.target.branch} of {plan.target.repo} holds {len(others)} files that no release put there",
            why=f"a push leaves nothing beside the release, and would delete {shown}",
            fix="move them elsewhere, push to another repository, or say --delete-others",
        )


def lines(plan: Plan, files: Mapping[str, LocalFile]) -> Iterator[str]:
    """The plan for a person, a line a step."""
    target = plan.target
    at = f" at {plan.parent[:8]}" if plan.parent else ""
    shown = "private" if plan.private else "public"
    gate = f", gated ({target.gate})" if plan.sets_gate else ""
    made = "a new repository, " if plan.makes_repo else ""
    yield f"{target.repo}: {made}{plan.kind}, {shown}{gate}"
    yield f"  {plan.version or 'nothing'} → {plan.tag}, on {target.branch}{' (new)' if plan.makes_branch else ''}{at}"
    for verb, names in (("add", plan.add), ("change", plan.change)):
        yield from (f"  {verb:6} {printable(name)} ({size(files[name].size)})" for name in names)
    yield from (f"  delete {printable(name)}" for name in plan.delete)
    if plan.same:
        yield f"  keep   {len(plan.same)} files as they are ({size(sum(files[name].size for name in plan.same))})"
    if target.as_pull and plan.commits:
        yield "  as a pull request; once it is merged, push again to set the tag"
    if plan.sets_tag:
        yield f"  tag    {plan.tag}"
    if not (plan.commits or plan.sets_tag or plan.sets_gate):
        yield "  all of it is there already"


def size(count: float) -> str:
    """Bytes for a person."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
