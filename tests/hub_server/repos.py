"""What a Hub holds: repositories of commits, trees and refs, over blobs that are kept by their hash."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

INITIAL_FILE = ".gitattributes"
_LFS_PATTERNS = (
    *("*.7z", "*.arrow", "*.bin", "*.bz2", "*.ckpt", "*.gz", "*.h5", "*.model", "*.npy", "*.npz", "*.onnx"),
    *("*.parquet", "*.pickle", "*.pkl", "*.pt", "*.pth", "*.safetensors", "*.tar", "*.tar.*", "*.zip", "*.zst"),
)
"""The part that matters here of the `.gitattributes` that the Hub puts into a new repository."""
GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LFS_PATTERNS).encode()
REGULAR_LIMIT = 10 * 1024 * 1024
"""Bytes; what is larger goes through LFS whatever its name."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a tree: its content by hash, and whether Git holds it or a pointer to it."""

    sha256: str
    size: int
    oid: str
    """Git's hash of the blob: of the content, or of the pointer."""
    lfs: bool = False
    xet_hash: str | None = None


Tree = Mapping[str, File]


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; `oid` follows from its content and its parent."""

    oid: str
    parent: str | None
    tree: Tree
    title: str


@dataclass(slots=True)
class Pull:
    """A pull request: the branch it asks to change, its title, and whether it is open."""

    number: int
    branch: str
    title: str
    status: str = "open"


@dataclass(slots=True)
class Repo:
    """A repository with its whole history."""

    kind: str
    name: str
    private: bool = False
    gated: str | bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    objects: set[str] = field(default_factory=set)
    """The sha256 of what was uploaded to its large-file storage: one repository does not see another's."""
    moves: list[tuple[str, str]] = field(default_factory=list)
    """(ref, commit) in the order in which refs were made or moved: nothing else can ever have been read."""

    def resolve(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag, a full ref name or a hash names."""
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        found = self.branches.get(revision) or self.branches.get(name) or self.tags.get(name) or revision
        return self.commits.get(found)

    def commit(self, ref: str, tree: Tree, title: str, *, parent: str | None) -> Commit:
        """A new commit that `ref` names from now on."""
        text = repr((self.kind, self.name, parent, sorted(tree.items()), title, len(self.commits)))
        made = Commit(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), parent, dict(tree), title)
        self.commits[made.oid] = made
        self.move(ref, made.oid)
        return made

    def move(self, ref: str, oid: str) -> None:
        """Let a branch name a commit."""
        self.branches[ref] = oid
        self.moves.append((ref, oid))

    def merge(self, number: int) -> Commit:
        """Merge a pull request as the Hub's button does."""
        pull, head = self.pulls[number], self.branches[f"refs/pr/{number}"]
        pull.status = "merged"
        return self.commit(pull.branch, self.commits[head].tree, pull.title, parent=self.branches[pull.branch])


class Blobs:
    """Contents by their sha256, whichever way they came."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._contents

    def __getitem__(self, sha256: str) -> bytes:
        return self._contents[sha256]

    def add(self, content: bytes, path: str = "", *, lfs: bool | None = None) -> File:
        """Keep a content; the file that it is under `path`."""
        sha256 = hashlib.sha256(content).hexdigest()
        self._contents[sha256] = content
        as_lfs = upload_mode(path, len(content), content[:512]) == "lfs" if lfs is None else lfs
        blob = pointer(sha256, len(content)) if as_lfs else content
        return File(sha256, len(content), git_hash(blob), as_lfs)

    def replace(self, old: bytes, new: bytes) -> None:
        """Give another content under the hash of one, as storage does that is broken."""
        self._contents[hashlib.sha256(old).hexdigest()] = new

    def file(self, sha256: str, xet_hash: str | None) -> File:
        """The LFS file that a content is which is there."""
        return replace(self.add(self[sha256], lfs=True), xet_hash=xet_hash)


def upload_mode(path: str, size: int, sample: bytes) -> str:
    """lfs or regular, as the Hub's preupload decides it: by name, by size, by whether it is text."""
    by_name = any(fnmatchcase(path.rpartition("/")[2], pattern) for pattern in _LFS_PATTERNS)
    return "lfs" if by_name or size > REGULAR_LIMIT or b"\0" in sample else "regular"


def pointer(sha256: str, size: int) -> bytes:
    """What Git holds in the place of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_hash(content: bytes) -> str:
    """Git's hash of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
