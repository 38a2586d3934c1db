"""The files of a folder that is to be published: nothing outside it, no links, each with its hashes."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safety_reasoning.errors import UsageError

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file with the two hashes by which the Hub knows it."""

    path: Path
    size: int
    sha256: str
    """What the Hub states of a file in large-file storage (LFS, Xet)."""
    git_hash: str
    """What it states of a file in Git: the hash of the blob."""


def hashed(folder: Path, names: Iterable[str]) -> Mapping[str, LocalFile]:
    """The named files below the folder, by name.

    Raises: UsageError if a name leads out of the folder, or to something that is no plain file.
    """
    refuse_links(folder)
    return {name: _hashed(_inside(folder, name)) for name in sorted(names)}


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"{name} lies outside {folder}", fix="only files of the folder itself are published")
    if not path.is_file():
        raise UsageError(f"{path} is not there", fix="build the release again")
    return path


def _hashed(path: Path) -> LocalFile:
    size = path.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            git.update(block)
    return LocalFile(path, size, sha256.hexdigest(), git.hexdigest())


def refuse_links(folder: Path) -> None:
    """Raise UsageError at a link, a pipe, a device or a socket: what it leads to is not of the folder."""
    for path in _everything(folder):
        if path.is_symlink():
            raise UsageError(
                f"{path} is a link",
                why="what it leads to may lie outside the folder, and links are not published",
                fix="put the file itself there, or remove the link",
            )
        if not (path.is_file() or path.is_dir()):
            raise UsageError(f"{path} is neither a file nor a folder", fix="remove it")


def visible_files(folder: Path) -> list[str]:
    """Names of the files below the folder of which no part begins with a dot, sorted."""
    return [name for name in _names(folder) if not _hidden(name)]


def hidden_files(folder: Path) -> list[str]:
    """Names of the other files, which are not published, sorted."""
    return [name for name in _names(folder) if _hidden(name)]


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in _everything(folder) if path.is_file())


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _everything(folder: Path) -> Iterator[Path]:
    """Every entry below the folder; links are given and not followed."""
    for base, folders, files in os.walk(folder, followlinks=False):
        for name in sorted([*folders, *files]):
            yield Path(base) / name
