"""A mixture with its difficult rows more often: what a guard's second stage is trained on (paper, section 5.6).

It has the rows, the order and so the hash of the mixture that `train mix` makes with `[mixture.oversample]` and the
same keys.
"""

from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.train.mine_rows import RowId, row_id
from safety_reasoning.train.mixture_card import write_card
from safety_reasoning.train.mixture_read import Mixture
from safety_reasoning.train.mixture_stated import STATED, Stated, write_stated
from safety_reasoning.train.mixture_write import MixtureWriter

_NEEDED = ("license", "configs", "counts", "parts", "left_out", "decontamination", "tool", "version", "name", "mode")


def check_mixture(mixture: Mixture) -> None:
    """Raise UsageError if no new mixture could be made of it, however its rows turn out."""
    missing = [name for name in _NEEDED if name not in mixture.stated]
    if missing:
        raise UsageError(
            f"{mixture.folder / STATED} does not state {missing[0]}",
            why="it is not as `safety-reasoning train mix` writes it",
            fix="make the mixture again",
        )


def write_oversampled(
    folder: Path, mixture: Mixture, often: Collection[RowId], times: int, said: Mapping[str, Any]
) -> Stated:
    """Write the mixture into a new folder, each of the rows `often` so many times besides; what it states.

    `said` is what the new mixture states in place of the old one's: its name, version, and how it was mined.
    """
    folder.mkdir()
    waiting = set(often)
    with MixtureWriter(folder, mixture.mark) as writer:
        for row in mixture.records():
            plain = {name: row[name] for name in writer.schema.names}
            again = times if row_id(row) in waiting else 0
            waiting.discard(row_id(row))
            for _ in range(1 + again):
                writer.add(plain)
    _copy_aside(folder, mixture)
    stated = {
        **{name: value for name, value in mixture.stated.items() if name != "files"},
        **said,
        "hash": writer.hash,
        "rows": writer.rows,
        "configs": {"default": {"records": writer.rows}},
        "counts": {name: dict(sorted(counter.items())) for name, counter in writer.counts.items()},
    }
    write_card(folder, stated, writer)
    return write_stated(folder, stated)


def _copy_aside(folder: Path, mixture: Mixture) -> None:
    """Copy the tables of rows that are not in the mixture, which its card speaks of."""
    for name in mixture.stated["files"]:
        path = PurePosixPath(name)
        if path.parts[0] not in ("left_out", "decontamination") or ".." in path.parts:
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((mixture.folder / name).read_bytes())
