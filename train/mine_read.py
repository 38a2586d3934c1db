"""What mining found, read back: the generations of each row, as whoever trains on them wants them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.hub.release import read_json
from safety_reasoning.train.mine_rows import RowId, row_id
from safety_reasoning.train.mine_write import DIFFICULT, MINED, MIXTURE, SAMPLES
from safety_reasoning.train.mixture_read import read_mixture

_BATCH = 500


@dataclass(frozen=True, slots=True)
class MinedFolder:
    """A folder that `train mine` wrote, whole."""

    path: Path
    stated: Mapping[str, Any]
    """Its mine.json."""

    @property
    def mixture(self) -> Path:
        """The folder of its mixture."""
        return self.path / MIXTURE

    def samples(self) -> Iterator[dict[str, Any]]:
        """Every row with its generations, in the mixture's order."""
        with pq.ParquetFile(self.path / SAMPLES) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()

    def difficult(self) -> frozenset[RowId]:
        """The difficult rows."""
        return frozenset(map(row_id, pq.read_table(self.path / DIFFICULT, columns=["key", "mode"]).to_pylist()))

    def rows(self, wanted: Collection[RowId] | None = None) -> dict[RowId, dict[str, Any]]:
        """Those of its mixture's rows that are wanted, or all of them, each once, in order."""
        found: dict[RowId, dict[str, Any]] = {}
        for row in read_mixture(self.mixture).records():
            if wanted is None or row_id(row) in wanted:
                found.setdefault(row_id(row), row)
        return found


def read_mined(folder: Path) -> MinedFolder:
    """The folder, found to be what its mine.json says.

    Raises: UsageError if it is none, was changed, or nothing in it is difficult.
    """
    if not (folder / MINED).is_file():
        raise UsageError(
            f"{folder} holds no mined rows",
            why=f"it has no {MINED}",
            fix="make it with `safety-reasoning train mine RECIPE`",
        )
    stated = read_json(folder / MINED)
    if not isinstance(stated.get("guard"), dict) or not isinstance(stated.get("files"), dict):
        raise UsageError(f"{folder / MINED} does not say what was mined", fix="run `safety-reasoning train mine` again")
    for name in (SAMPLES, DIFFICULT):
        wanted = stated["files"].get(name, {}).get("sha256")
        if not (folder / name).is_file() or sha256_of(folder / name) != wanted:
            raise UsageError(
                f"{folder / name} is not the file that {MINED} states",
                why="it is missing, cut or was changed",
                fix="run `safety-reasoning train mine` again: nothing is asked twice",
            )
    if not (folder / MIXTURE).is_dir():
        raise UsageError(
            f"none of the rows in {folder} is difficult",
            why=f"its counts are in {folder / 'report.txt'}",
            fix="mine with other bounds (`mine.keep`), more generations or a warmer sampling",
        )
    return MinedFolder(folder, stated)
