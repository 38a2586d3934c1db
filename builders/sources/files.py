"""Files of a source, from a local folder or the Hub, read row by row with their numbers.

JSON is read with the standard library on purpose: upstream files hold `NaN` and lone surrogates, which the
streaming parsers refuse.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import WHITESPACE  # type: ignore[attr-defined]  # typeshed leaves it out
from pathlib import Path
from typing import TextIO

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.errors import UsageError
from safety_reasoning.files import fetch_snapshot

_HUB = "hf://datasets/"
_CHUNK = 2**20
"""Characters read at a time."""
_ENDS = frozenset(" \t\r\n,]")
"""What may follow an element."""


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
    _refuse_empty(path)
    number = 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = _Window(file)
        try:
            if text.peek() != "[":
                raise _broken(path, 0, "the file does not start with '['", "expected one JSON array of objects")
            text.take()
            separator = text.take() if text.peek() == "]" else ","
            while separator == ",":
                yield RawRow(number + 1, text.element())
                number += 1
                separator = text.take()
                if separator not in {"]", ","}:
                    raise _broken(
                        path, number, f"char {text.position}: expected ',' or ']'", "the array is cut or damaged"
                    )
            if text.peek():
                raise _broken(path, number, f"char {text.position}: text after the end", "expected one JSON array")
        except UnicodeDecodeError as error:
            raise _broken(path, number + 1, error.reason, "the file is not UTF-8") from error
        except json.JSONDecodeError as error:
            why = f"char {text.position + error.pos - text.at}: {error.msg}"
            raise _broken(path, number + 1, why, "the array is cut or damaged") from error
        except (RecursionError, ValueError) as error:  # a number of thousands of digits, for one
            raise _broken(path, number + 1, _position(error), "the array is cut or damaged") from error


class _Window:
    """The text of a file from a moving position on, so that a file of any size takes the memory of its largest row."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._before = 0
        self.at = 0

    @property
    def position(self) -> int:
        """Characters before the position, in the whole file."""
        return self._before + self.at

    def peek(self) -> str:
        """The next character that is not white space, '' at the end of the file."""
        while True:
            self.at = WHITESPACE.match(self._text, self.at).end()
            if self.at < len(self._text) or not self._more():
                return self._text[self.at : self.at + 1]

    def take(self) -> str:
        """The same, and go on after it."""
        character = self.peek()
        self.at += len(character)
        return character

    def element(self) -> object:
        """The JSON value that starts here, and go on after it."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self.at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
            else:
                if self._text[end : end + 1] in _ENDS or not self._more():  # a number may go on in the next chunk
                    self.at = end
                    return value

    def _more(self) -> bool:
        chunk = self._file.read(max(_CHUNK, len(self._text) - self.at))
        if chunk:
            self._before += self.at
            self._text = self._text[self.at :] + chunk
            self.at = 0
        return bool(chunk)


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
    import polars as pl  # 20 MB that a run over JSON does without

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


def _refuse_empty(path: Path) -> None:
    if not path.stat().st_size:
        raise _broken(path, 0, "it has no bytes", "the file is empty")


def _broken(path: Path, row: int, why: str, what: str) -> UsageError:
    where = f"{path}, row {row}" if row else str(path)
    return UsageError(f"{where}: {what}", why=why, fix="fetch the file again, or correct the source's path")
