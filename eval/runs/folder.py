"""The folder of a run: `run.json`, which says what was asked of whom, and `rows.parquet`, what was answered.

Neither holds a time, a path of the machine or a key, so that the same replies give the same bytes anywhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.runs.rows import SCHEMA
from safety_reasoning.files import sha256_of
from safety_reasoning.place import refuse_foreign, replaced

STATED, ROWS = "run.json", "rows.parquet"
FORMAT = 1
_WHAT = "run"


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run."""

    path: Path
    stated: Mapping[str, Any]
    """Its run.json."""
    rows: pl.DataFrame
    """Columns and order as in `eval/runs/rows.py`."""


def refuse_other(path: Path) -> None:
    """Raise UsageError if something else than a run is there: it would be replaced whole."""
    refuse_foreign(path, marker=STATED, what=_WHAT)


def write_run(path: Path, stated: Mapping[str, Any], rows: pl.DataFrame) -> Run:
    """Put the run into its place as a whole, its rows sorted and their hash stated; the run as it is read back.

    Raises: UsageError if something else is there, or it cannot be written.
    """
    rows = rows.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items()).sort("task", "item", "generation")
    with replaced(path, marker=STATED, what=_WHAT) as new:
        rows.write_parquet(new / ROWS, compression="zstd", statistics=True)
        whole = {"format": FORMAT, **stated, "rows": rows.height, "rows_sha256": sha256_of(new / ROWS)}
        text = json.dumps(whole, ensure_ascii=False, indent=1, sort_keys=True)
        (new / STATED).write_text(f"{text}\n", encoding="utf-8")
    return Run(path, whole, rows)


def read_run(path: Path | str) -> Run:
    """The run in a folder.

    Raises: UsageError for anything that is no run, or one whose rows are not those that it states.
    """
    path = Path(path)
    stated = _stated(path)
    rows = _rows(path / ROWS)
    if stated.get("rows_sha256") != sha256_of(path / ROWS):
        raise UsageError(
            f"{path / ROWS} is not the file that {STATED} was written with",
            why="its SHA-256 is another one",
            fix="put back both files of the run, or run it again: the store's replies are not asked twice",
        )
    return Run(path, stated, rows)


def _stated(path: Path) -> dict[str, Any]:
    try:
        stated = json.loads((path / STATED).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _no_run(path, f"{STATED}: {error}") from None
    if not isinstance(stated, dict) or stated.get("format") != FORMAT:
        raise _no_run(path, f"{STATED} does not say format {FORMAT}")
    return stated


def _rows(path: Path) -> pl.DataFrame:
    try:
        rows = pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _no_run(path.parent, f"{ROWS}: {(str(error).splitlines() or ['cannot be read'])[0]}") from None
    wrong = [name for name, kind in SCHEMA.items() if rows.schema.get(name) != kind]
    if wrong or len(rows.columns) != len(SCHEMA):
        named = wrong or sorted(set(rows.columns) - set(SCHEMA))
        raise _no_run(path.parent, f"column {named[0]!r} of {ROWS} is missing or of another type")
    return rows


def _no_run(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} is no run", why=why, fix="give a folder that `safety-reasoning eval run` wrote")
