"""Rows of a benchmark's file in any of the upstream formats: JSON array, JSON Lines, CSV, Parquet, gzipped or not."""

import gzip
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.sources.files import RawRow, array_rows, line_rows, table_rows
from safety_reasoning.errors import UsageError

_READERS = {".json": array_rows, ".jsonl": line_rows, ".csv": table_rows, ".parquet": table_rows}
SUFFIXES = (*_READERS, *(f"{suffix}.gz" for suffix in _READERS))
"""Endings of the files that can be read."""


def read_rows(path: Path, *, nested: bool = False) -> Iterator[RawRow]:
    """The rows of a file, by its ending; `nested` is for a JSON object of lists of rows.

    Raises: UsageError if the file cannot be read, or is not what its ending says.
    """
    if not path.name.endswith(SUFFIXES):
        raise UsageError(f"{path} is of no format that is read", fix=f"use a file that ends in {', '.join(_READERS)}")
    try:
        with _unpacked(path) as plain:
            yield from _nested_rows(plain) if nested else _READERS[plain.suffix](plain)
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or type(error).__name__) from error


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The file, unpacked into a folder that is removed afterwards if it is gzipped."""
    if path.suffix != ".gz":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        try:
            with gzip.open(path) as packed, plain.open("wb") as file:
                shutil.copyfileobj(packed, file)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UsageError(f"{path} is not a whole gzip file", why=str(error), fix="fetch it again") from error
        yield plain


def _nested_rows(path: Path) -> Iterator[RawRow]:
    try:
        groups = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise UsageError(f"{path} is not JSON", why=why, fix="fetch the file again") from error
    if not isinstance(groups, dict):
        raise UsageError(f"{path} is not an object of lists", why="its JSON is something else", fix="fetch it again")
    number = 0
    for rows in groups.values():
        for row in rows if isinstance(rows, list) else [None]:
            number += 1
            bad = None if isinstance(row, dict) else BadRow(Reason.NOT_AN_OBJECT, "", "expected an object")
            yield RawRow(number, row, bad)
