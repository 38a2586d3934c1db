"""Texts to classify, from a file of a person's own: JSON Lines, CSV or plain text."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError

_FIELD_CHARS = 2**31 - 1
"""The longest field of a CSV file that is read; Python's own limit is 131,072."""


@dataclass(frozen=True, slots=True)
class Text:
    """One line of the file, or one row."""

    line: int
    """From 1; of a CSV row, where it ends."""
    prompt: str = ""
    response: str | None = None
    fault: str = ""
    """Why it cannot be classified; '' where it can."""


def read_texts(path: Path) -> list[Text]:
    """All of them in order; one that cannot be read is there with its fault.

    .jsonl: objects with `prompt` and, if there is one, `response`. .csv: columns of these names. Any other: a prompt a
    line, empty lines left out.
    Raises: UsageError if the file cannot be read, is no UTF-8 or has no column `prompt`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                return list(_of_csv(path, csv.reader(file, strict=True)))
            lines = ((number, line.rstrip("\r\n")) for number, line in enumerate(file, start=1))
            take = _of_json if path.suffix in {".jsonl", ".ndjson"} else Text
            return [take(number, line) for number, line in lines if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", why=str(error), fix="give a file of UTF-8 text") from error
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV file", why=str(error), fix="mend it, or give JSON Lines") from error


def _of_json(number: int, line: str) -> Text:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return Text(number, fault="no JSON")
    if not isinstance(value, dict):
        return Text(number, fault="no JSON object")
    return _checked(number, value.get("prompt"), value.get("response"))


def _of_csv(path: Path, rows: Any) -> Iterator[Text]:
    csv.field_size_limit(_FIELD_CHARS)
    head: list[str] = next(rows, [])
    if "prompt" not in head:
        raise UsageError(
            f"{path} has no column `prompt`", why=f"it has {', '.join(head) or 'none'}", fix="name its columns so"
        )
    for row in rows:
        if row and len(row) != len(head):
            yield Text(rows.line_num, fault=f"{len(row)} fields, not {len(head)}")
        elif row:
            value = dict(zip(head, row, strict=True))
            yield _checked(rows.line_num, value["prompt"], value.get("response") or None)


def _checked(number: int, prompt: Any, response: Any) -> Text:
    if not isinstance(prompt, str):
        return Text(number, fault="`prompt` is missing or no text")
    if not isinstance(response, str | None):
        return Text(number, fault="`response` is no text")
    return Text(number, prompt, response)
