"""One side of a comparison: what a folder or a Hub revision holds, release or not, ready to be read."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.reading_lines import as_parquet, first_row
from safety_reasoning.hub.reading_place import HubPlace, Place, find_place
from safety_reasoning.hub.rows import key_columns
from safety_reasoning.hub.versions import Version
from safety_reasoning.schemas.columns import JSONL_FILE, Task
from safety_reasoning.schemas.folder import MANIFEST

_SMALL = (MANIFEST, "README.md", "CHANGELOG.md", "schemas/*.json")
_TABLES, _LINES = "*.parquet", "*.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Lines of a file that could not be compared."""

    file: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What there is to compare."""

    named: str
    """As the person named it."""
    commit: str | None
    """Of a Hub revision."""
    folder: Path
    manifest: Mapping[str, Any] | None
    """The release's; None where there is none of our making."""
    tables: Mapping[Task, tuple[Path, ...]]
    """Parquet by task; where a task has JSON Lines alone, parts that were made of them."""
    unreadable: tuple[Unreadable, ...]

    @property
    def version(self) -> Version | None:
        """The version that the manifest states."""
        return None if self.manifest is None else Version.parse(self.manifest.get("version"))

    def text(self, name: str) -> str | None:
        """A text file of it; None where it is not there. What is no UTF-8 in it is escaped."""
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="backslashreplace") if path.is_file() else None


@contextmanager
def opened(named: str, place: Place | None = None) -> Iterator[Side]:
    """The side that a person named, as long as the block lasts.

    Raises: UsageError if it cannot be read or holds no records.
    """
    found = place or find_place(named)
    with tempfile.TemporaryDirectory(prefix="safety-reasoning-") as scratch:
        yield _side(named, found, Path(scratch))


def _side(named: str, place: Place, scratch: Path) -> Side:
    folder = _folder(place, _SMALL)
    manifest = read_manifest(folder)
    tables: dict[Task, tuple[Path, ...]] = {}
    unreadable = []
    for task, files in _files(place, manifest).items():
        if files[0].suffix == ".parquet":
            tables[task] = tuple(files)
            continue
        made = [(file, as_parquet(file, task, _fresh(scratch / task / str(n)))) for n, file in enumerate(files)]
        tables[task] = tuple(part for _, parts in made for part in parts.files)
        unreadable += [
            Unreadable(file=file.relative_to(folder).as_posix(), lines=tuple(parts.unreadable))
            for file, parts in made
            if parts.unreadable
        ]
    if not any(tables.values()):
        raise UsageError(
            f"{named} holds no records",
            why="no Parquet or JSON Lines in it has the columns of content safety or of topic control",
            fix="name a release, or a folder or Hub revision with files of its columns",
        )
    return Side(
        named=named,
        commit=place.commit if isinstance(place, HubPlace) else None,
        folder=folder,
        manifest=manifest,
        tables={task: files for task, files in tables.items() if files},
        unreadable=tuple(unreadable),
    )


def _fresh(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _folder(place: Place, patterns: Sequence[str]) -> Path:
    return place.fetch(patterns) if isinstance(place, HubPlace) else place


def read_manifest(folder: Path) -> Mapping[str, Any] | None:
    """The manifest, if it is one of a release: other projects' files may have the same name."""
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        configs = manifest["configs"].values()
        for config in configs:
            for name in (config["jsonl"], *config["parquet"]):
                _refuse_outside(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    counted = configs and all(isinstance(config.get("records"), int) for config in configs)
    return manifest if counted and isinstance(manifest.get("files"), dict) else None


def _refuse_outside(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("a file outside the folder")


def _files(place: Place, manifest: Mapping[str, Any] | None) -> Mapping[Task, list[Path]]:
    """The files of every task: those of the manifest, or else all Parquet with its columns, or else JSON Lines."""
    if manifest is not None:
        configs = {Task(name): config for name, config in manifest["configs"].items() if name in set(Task)}
        folder = _folder(place, [name for config in configs.values() for name in config["parquet"]])
        stated = {task: [folder / name for name in config["parquet"]] for task, config in configs.items()}
        for path in (path for paths in stated.values() for path in paths):
            if not path.is_file():
                raise UsageError(f"{path} is not there", why=f"{MANIFEST} names it", fix="build or fetch it again")
        return {task: paths for task, paths in stated.items() if paths}
    found = _by_columns(sorted(_folder(place, [_TABLES]).rglob(_TABLES)))
    if len(found) < len(Task):
        found = _by_columns(_lines(_folder(place, [_LINES]))) | found
    return found


def _lines(folder: Path) -> list[Path]:
    """JSON Lines under the published names, else all there are."""
    published = [folder / name for name in JSONL_FILE.values() if (folder / name).is_file()]
    return published or sorted(folder.rglob(_LINES))


def _by_columns(paths: Sequence[Path]) -> dict[Task, list[Path]]:
    found: dict[Task, list[Path]] = {}
    for path in paths:
        columns = _columns(path)
        for task in Task:
            if columns.issuperset(key_columns(task)):
                found.setdefault(task, []).append(path)
    return found


def _columns(path: Path) -> set[str]:
    try:
        return set(pq.read_schema(path).names if path.suffix == ".parquet" else first_row(path))
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} cannot be read", why=str(error).splitlines()[0]) from error
