"""Validate files of records: the schema, the rules beside it, and one record an interaction.

A fast validator looks at every record; `jsonschema` explains those that fail.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.errors import UsageError
from safety_reasoning.schemas.columns import Naming, Task, teachers_in
from safety_reasoning.schemas.record import record_schema, task_of
from safety_reasoning.schemas.rules import RULES, Broken, interaction


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which one record, or one file, is not what it should be."""

    file: str
    line: int
    """From 1: the line of a JSONL file, the row of a Parquet file; 0 for the file as a whole."""
    pointer: str
    """JSON pointer to the field, '' for the record as a whole."""
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        pointer = json.dumps(self.pointer or "/", ensure_ascii=False)[1:-1]  # a column's name may hold anything
        text = f"{where} {pointer}: expected {self.expected}"
        return text.encode("utf-8", "backslashreplace").decode()


@dataclass(slots=True)
class Report:
    """What validation found; `violations` holds at most `limit` of `total`."""

    limit: int
    records: dict[str, int] = field(default_factory=dict)
    """Records by file."""
    violations: list[Violation] = field(default_factory=list)
    total: int = 0

    def add(self, violation: Violation) -> None:
        """Count it, and keep it if there is room."""
        self.total += 1
        if len(self.violations) < self.limit:
            self.violations.append(violation)


def validate_file(path: Path, report: Report, *, name: str = "", naming: Naming = "card") -> None:
    """Add to the report what is wrong with the records of a JSONL or Parquet file.

    Raises: UsageError if the file is neither, or cannot be read.
    """
    check, before = _FileCheck(name or path.name, naming, report), report.total
    for line, record, fault in _records(path):
        if fault:
            report.add(Violation(check.name, line, "", fault))
        else:
            check.record(line, record)
    report.records[check.name] = check.count
    if not check.count and report.total == before:
        report.add(Violation(check.name, 0, "", "at least one record"))


@dataclass(slots=True)
class _FileCheck:
    """The records of one file, all held against the columns of its first one."""

    name: str
    naming: Naming
    report: Report
    count: int = 0
    task: Task = Task.CONTENT_SAFETY
    fast: Any = None
    slow: Any = None
    seen: dict[bytes, int] = field(default_factory=dict)

    def record(self, line: int, record: dict[str, Any]) -> None:
        if self.fast is None:
            self.task = task_of(record)
            schema = record_schema(self.task, teachers_in(record), self.naming)
            self.fast = jsonschema_rs.Draft202012Validator(schema)
            self.slow = jsonschema.Draft202012Validator(schema)
        self.count += 1
        broken = [] if self._passes(record) else list(self._explain(record))
        for rule in RULES[self.task]:
            broken += rule(record)
        for pointer, expected in broken:
            self.report.add(Violation(self.name, line, pointer, expected))
        self._unique(line, record)

    def _passes(self, record: dict[str, Any]) -> bool:
        try:
            return bool(self.fast.is_valid(record))
        except (ValueError, UnicodeEncodeError):  # a lone surrogate, which it cannot read; a rule names it
            return False

    def _explain(self, record: dict[str, Any]) -> Iterator[Broken]:
        told: set[Broken] = set()  # jsonschema reports "required" once a missing field
        for error in self.slow.iter_errors(record):
            pointer = "".join(f"/{_token(part)}" for part in error.absolute_path)
            for broken in _expected(pointer, error):
                if broken not in told:
                    told.add(broken)
                    yield broken

    def _unique(self, line: int, record: dict[str, Any]) -> None:
        text = json.dumps(interaction(record, self.task), ensure_ascii=True, default=str)
        key = hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()
        first = self.seen.setdefault(key, line)
        if first != line:
            self.report.add(Violation(self.name, line, "", f"an interaction of its own, not that of line {first}"))


def _expected(pointer: str, error: jsonschema.ValidationError) -> Iterator[Broken]:
    """What was expected, without quoting the text of the record."""
    value: Any = error.validator_value
    instance: Any = error.instance
    schema: Any = error.schema
    if error.validator == "required":
        yield from ((f"{pointer}/{_token(name)}", "the field to be there") for name in value if name not in instance)
    elif error.validator == "additionalProperties":
        extra = [name for name in instance if name not in schema["properties"]]
        yield from ((f"{pointer}/{_token(name)}", "no such field") for name in extra)
    elif error.validator == "enum":
        yield pointer, "one of " + ", ".join(json.dumps(item) for item in value)
    elif error.validator == "type":
        kinds = value if isinstance(value, str) else " or ".join(value)
        yield pointer, f"{kinds}, not {_json_kind(instance)}"
    else:
        yield pointer, f"{error.validator} {json.dumps(value)}"


def _token(name: object) -> str:
    """One part of a JSON pointer (RFC 6901)."""
    return str(name).replace("~", "~0").replace("/", "~1")


def _json_kind(value: object) -> str:
    kinds = {
        type(None): "null",
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
    }
    return kinds.get(type(value), "object")


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """(line, record, what is wrong with the line itself)."""
    try:
        if path.suffix == ".parquet":
            yield from _parquet_records(path)
        elif path.suffix == ".jsonl":
            yield from _jsonl_records(path)
        else:
            raise UsageError(f"{path} is neither .jsonl nor .parquet", fix="name a file or folder of records")
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path} cannot be read", why=str(error).splitlines()[0]) from error


def _parquet_records(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    line = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            for record in batch.to_pylist():
                line += 1
                yield line, record, ""


def _jsonl_records(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    with path.open("rb") as file:
        for line, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                record = json.loads(raw)
            except (ValueError, RecursionError):
                yield line, {}, "a line that is one JSON object in UTF-8"
                continue
            yield line, record, "" if isinstance(record, dict) else "an object"
