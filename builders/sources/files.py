"""Files of a source, from a local folder or the Hub, read row by row with their numbers.

JSON is read with the standard library on purpose: upstream files hold `NaN` and lone surrogates, which the
streaming parsers refuse, and the rows of the largest file (50 MB) fit in memory.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import WHITESPACE  # type: ignore[attr-defined]  # typeshed leaves it out
from pathlib import Path

import polars as pl

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.errors import UsageError
from safety_reasoning.files import fetch_snapshot

_HUB = "hf://datasets/"


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as the file gives it, or why it could not be read."""

    number: int
    """From 1."""
    value: object
    bad: BadRow | None = None


def source_folder(path: str, revision: str | None, patterns: list[str]) -> Path:
    """The local folder of a source; a Hub source (`hf://datasets/OWNER/NAME`) is fetched at its revision.

    Raises: UsageError if the folder or the repository cannot be read, or a Hub source names no revision.
    """
    if not path.startswith(_HUB):
        folder = Path(path)
        if not folder.is_dir():
            raise UsageError(f"source folder {folder} does not exist", fix="correct `path` in the recipe")
        return folder
    if not revision:
        raise UsageError(
            f"source {path} names no revision",
            why="a release must be rebuilt from the same bytes",
            fix='add revision = "<commit hash or tag>" to the source in the recipe',
        )
    return fetch_snapshot(path.removeprefix(_HUB), revision, patterns)


def array_rows(path: Path) -> Iterator[RawRow]:
    """The elements of a file that is one JSON array.

    Raises: UsageError naming file and row if the file is not an array, is cut, or goes on after its end.
    """
    text = _utf8(path)
    skip = WHITESPACE.match
    position = skip(text, 0).end()
    if not text.startswith("[", position):
        raise _broken(path, 0, "the file does not start with '['", "expected one JSON array of objects")
    decode = json.JSONDecoder().raw_decode
    number = 0
    position = skip(text, position + 1).end()
    separator = "]" if text.startswith("]", position) else ","
    while separator == ",":
        try:
            value, position = decode(text, position)
        except (ValueError, RecursionError) as error:
            raise _broken(path, number + 1, _position(error), "the array is cut or damaged") from error
        number += 1
        yield RawRow(number, value)
        position = skip(text, position).end()
        separator = text[position : position + 1]
        if separator not in {"]", ","}:
            raise _broken(path, number, f"char {position}: expected ',' or ']'", "the array is cut or damaged")
        position = skip(text, position + 1).end()
    if number and position < len(text):
        raise _broken(path, number, f"char {position}: text after the end", "expected one JSON array")


def line_rows(path: Path) -> Iterator[RawRow]:
    """The lines of a JSONL file; a line that does not parse comes with its reason. Blank lines are skipped."""
    _refuse_empty(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _line(number, line)


def _line(number: int, line: bytes) -> RawRow:
    try:
        return RawRow(number, json.loads(line.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raw = line.decode("utf-8", "backslashreplace").rstrip("\n")
        detail = f"{type(error).__name__}: {_position(error)}"
        return RawRow(number, raw, BadRow(Reason.INVALID_JSON, "", detail))


def _position(error: Exception) -> str:
    """Where and why, without the text that `str(UnicodeDecodeError)` would quote."""
    if isinstance(error, UnicodeDecodeError):
        return f"{error.reason} at byte {error.start}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def table_rows(path: Path) -> Iterator[RawRow]:
    """The rows of a Parquet or CSV file.

    Raises: UsageError if the file is empty or is not what its name says.
    """
    _refuse_empty(path)
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path, glob=False)
        else:
            frame = pl.read_csv(path, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _broken(path, 0, str(error).splitlines()[0], f"it is not a {path.suffix} file") from error
    for number, row in enumerate(frame.iter_rows(named=True), start=1):
        yield RawRow(number, row)


def _utf8(path: Path) -> str:
    _refuse_empty(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _broken(path, 0, _position(error), "the file is not UTF-8") from error


def _refuse_empty(path: Path) -> None:
    if not path.stat().st_size:
        raise _broken(path, 0, "it has no bytes", "the file is empty")


def _broken(path: Path, row: int, why: str, what: str) -> UsageError:
    where = f"{path}, row {row}" if row else str(path)
    return UsageError(f"{where}: {what}", why=why, fix="fetch the file again, or correct the source's path")
