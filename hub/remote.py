"""What a repository on the Hub holds, as far as a push needs to know it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from safety_reasoning.hub.folder import LocalFile
from safety_reasoning.printable import printable

Kind = Literal["dataset", "model"]
KEPT = (".gitattributes",)
"""The Hub's own file, which no release has and no push removes."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file by the hash that the Hub states of it: sha256 in large-file storage, Git's otherwise."""

    size: int
    git_hash: str
    sha256: str | None = None

    def holds(self, file: LocalFile) -> bool:
        """Whether it is this file, to the byte."""
        return self.sha256 == file.sha256 if self.sha256 is not None else self.git_hash == file.git_hash


Tree = Mapping[str, RemoteFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What a branch holds: its commit and the files of it."""

    head: str
    files: Tree
    release: tuple[str, ...] = ()
    """The files that an earlier push put there, as its manifest or `training.json` tells; () if none did."""
    version: str | None = None
    """The version that those state, or else the highest that its commit is tagged with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A repository that is there."""

    private: bool
    gated: str | None
    branch: Branch | None
    """The branch that is to be pushed to; None where there is none of that name."""
    main: str = ""
    """The commit of `main`, from which a new branch begins."""
    tagged: Tree | None = None
    """The files of the release's tag; None where it is not set."""
    tags: frozenset[str] = field(default_factory=frozenset)


def same_files(files: Mapping[str, LocalFile], there: Tree) -> bool:
    """Whether a tree is these files and no others, apart from the Hub's own."""
    return not differences(files, there)


def differences(files: Mapping[str, LocalFile], there: Tree) -> list[str]:
    """How a tree differs from the files: one line a file, sorted by name; empty if it does not."""
    told = []
    for name in sorted({*files, *there} - set(KEPT)):
        if name not in there:
            told.append(f"{printable(name)} is not there")
        elif name not in files:
            told.append(f"{printable(name)} is there and not of the release")
        elif not there[name].holds(files[name]):
            told.append(f"{printable(name)} has another content")
    return told


def changes(old: Tree, new: Tree) -> list[str]:
    """What lies between two trees of a repository: one line a file, sorted by name."""
    told = []
    for name in sorted({*old, *new}):
        if name not in old:
            told.append(f"{printable(name)} was added")
        elif name not in new:
            told.append(f"{printable(name)} was deleted")
        elif old[name] != new[name]:
            told.append(f"{printable(name)} was changed")
    return told
