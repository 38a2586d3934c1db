"""A mixture on disk, found to be what its mixture.json says before anybody is trained on it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.train.conversations import Mark
from safety_reasoning.train.mixture_stated import STATED

_BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """What a guard is trained on."""

    folder: Path
    stated: Mapping[str, Any]
    """Its mixture.json."""
    files: tuple[Path, ...]
    """Its Parquet files, in order."""

    @property
    def hash(self) -> str:
        """sha256 over its rows; two mixtures with one hash teach the same."""
        return str(self.stated["hash"])

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.stated["rows"])

    @property
    def seed(self) -> int:
        """What its order follows from; 0 where it does not say, as one that was made by hand."""
        return int(self.stated.get("seed", 0))

    @property
    def mark(self) -> Mark | None:
        """How its prompts say which mode is wanted; None if they have one mode."""
        mark = self.stated["mark"]
        return None if mark is None else Mark(**mark)

    def records(self) -> Iterator[dict[str, Any]]:
        """Its rows, read piece by piece."""
        for path in self.files:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_BATCH):
                    yield from batch.to_pylist()


def read_mixture(folder: Path) -> Mixture:
    """The mixture in a folder, whole.

    Raises: UsageError if it is none, is empty, or a file of it is not as its mixture.json says.
    """
    path = folder / STATED
    if not path.is_file():
        raise UsageError(
            f"{folder} is no mixture",
            why=f"it has no {STATED}",
            fix="make one with `safety-reasoning train mix RECIPE`",
        )
    try:
        stated: Any = json.loads(path.read_text(encoding="utf-8"))
        names = sorted(name for name in stated["files"] if PurePosixPath(name).match("data/*.parquet"))
        mixture = Mixture(folder=folder, stated=stated, files=tuple(folder / name for name in names))
        wanted = {name: stated["files"][name]["sha256"] for name in names}
        count = mixture.rows, mixture.hash, mixture.mark, mixture.seed
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is not a mixture's", why=type(error).__name__, fix="make it again") from error
    for name, sha256 in wanted.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise UsageError(
                f"{folder / name} is not the file that {STATED} states",
                why="it is missing, cut or was changed",
                fix="make the mixture again",
            )
    if not count[0] or _rows(mixture) != count[0]:
        raise UsageError(f"{folder} has {_rows(mixture)} rows", why=f"{STATED} states {count[0]}", fix="make it again")
    return mixture


def _rows(mixture: Mixture) -> int:
    try:
        return sum(int(pq.read_metadata(path).num_rows) for path in mixture.files)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{mixture.folder} cannot be read", why=str(error).splitlines()[0]) from error
