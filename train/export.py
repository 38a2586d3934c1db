"""What the exports share: a mixture's rows as chat messages, in a folder that says which mixture they are."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.errors import UsageError
from safety_reasoning.place import replaced
from safety_reasoning.train.mixture_read import Mixture, read_mixture

EXPORT = "export.json"
"""What says that a folder is an export, and of which mixture."""
MAX_TOKENS = 16384
"""Tokens of the longest row that is exported."""
_TEMPLATE_TOKENS = 256
"""What a chat template may add to a row."""
_BATCH = 500
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

_ZERO_3 = {
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "bf16": {"enabled": "auto"},
    "zero_optimization": {
        "stage": 3,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "reduce_bucket_size": "auto",
        "stage3_prefetch_bucket_size": "auto",
        "stage3_param_persistence_threshold": "auto",
        "stage3_gather_16bit_weights_on_model_save": True,
    },
}
"""DeepSpeed's ZeRO stage 3: weights, gradients and optimizer are spread over the GPUs; the trainer fills in "auto"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    out: Path
    mixture_hash: str
    rows: int
    too_long: int
    """Rows that are left out since they may not fit."""
    files: tuple[str, ...]
    start: str
    """The command that starts the training."""

    @property
    def warnings(self) -> list[str]:
        """What whoever trains must know."""
        if not self.too_long:
            return []
        return [f"{self.too_long} rows may have more than {MAX_TOKENS} tokens and are left out, see {EXPORT}"]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "out": str(self.out),
            "mixture": self.mixture_hash,
            "rows": self.rows,
            "too_long": self.too_long,
            "files": list(self.files),
            "start": self.start,
        }


def open_for_export(folder: Path, project: str) -> Mixture:
    """The mixture of a folder, if the project can be told its modes.

    Raises: UsageError if it is no mixture, or says which mode is wanted outside of its text.
    """
    mixture = read_mixture(folder)
    if mixture.mark is not None and mixture.mark.place == "template":
        raise UsageError(
            f"{project} cannot be told the mode of each row",
            why="this mixture says it to the chat template, row by row, and the project has one setting for all rows",
            fix='make the mixture with mark = { place = "prefix" } or "suffix"',
        )
    return mixture


def exporting(out: Path) -> AbstractContextManager[Path]:
    """A new folder that takes the place of `out`, which is empty, an export or not there."""
    return replaced(out, marker=EXPORT, what="export")


@dataclass(slots=True)
class Fitting:
    """The rows of a mixture that are sure to fit; the keys of the others are kept.

    No tokenizer that falls back to bytes makes more tokens than there are bytes. Projects cut longer rows in
    silence, at times through the verdict.
    """

    mixture: Mixture
    too_long: list[str]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Those that fit."""
        for row in self.mixture.records():
            said = [message["content"] for message in (*row["prompt"], *row["completion"])]
            if sum(len(text.encode()) for text in said) + _TEMPLATE_TOKENS <= MAX_TOKENS:
                yield row
            else:
                self.too_long.append(row["key"])


def messages(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as one chat, the completion last."""
    return {"messages": [*row["prompt"], *row["completion"]]}


def write_zero_3(path: Path) -> None:
    """Write the settings of DeepSpeed."""
    path.write_text(json.dumps(_ZERO_3, indent=2) + "\n", encoding="utf-8")


def write_parquet(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows piece by piece; how many there were."""
    count, waiting = 0, iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        while batch := list(islice(waiting, _BATCH)):
            count += len(batch)
            file.write_table(pa.Table.from_pylist(batch, schema=schema))
    return count


def finish(folder: Path, out: Path, fitting: Fitting, *, project: str, rows: int, start: str) -> Exported:
    """Write export.json; what was written.

    Raises: UsageError if no row fits.
    """
    if not rows:
        raise UsageError(f"no row of {fitting.mixture.folder} is sure to fit into {MAX_TOKENS} tokens")
    stated = {
        "project": project,
        "mixture": {"name": fitting.mixture.stated["name"], "hash": fitting.mixture.hash},
        "rows": rows,
        "max_tokens": MAX_TOKENS,
        "too_long": sorted(fitting.too_long),
    }
    (folder / EXPORT).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
    files = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()))
    return Exported(
        out=out,
        mixture_hash=fitting.mixture.hash,
        rows=rows,
        too_long=len(fitting.too_long),
        files=files,
        start=start,
    )
