"""A mixture's rows on disk: one Parquet file, and the hash of what is in it, however Parquet writes it."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.builders.samples import ContentSafetySample, Sample
from safety_reasoning.train.conversations import Conversation, Mark, RowMode

DATA = "data/train-00000-of-00001.parquet"
_BATCH = 500
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_LABELS = ("prompt_harm", "response_harm", "topic")
COUNTED = ("task", "mode", "teacher", *_LABELS)
"""Columns whose values mixture.json counts."""


def row_schema(mark: Mark | None) -> pa.Schema:
    """The columns of a mixture; a mark in the chat template has one of its own, which TRL hands to the template."""
    names = ("key", "task", "mode", "teacher")
    columns = [(name, pa.string()) for name in names]
    columns += [("prompt", _MESSAGES), ("completion", _MESSAGES)]
    columns += [(name, pa.string()) for name in _LABELS]
    if mark is not None and mark.place == "template":
        columns.append(("chat_template_kwargs", pa.struct([("enable_thinking", pa.bool_())])))
    return pa.schema(columns)


def row_of(sample: Sample, mode: RowMode, teacher: str | None, said: Conversation, mark: Mark | None) -> dict[str, Any]:
    """One row of the mixture."""
    row: dict[str, Any] = {"key": sample.key, "task": sample.task.value, "mode": mode, "teacher": teacher, **said}
    if isinstance(sample, ContentSafetySample):
        row |= {"prompt_harm": sample.prompt_harm, "response_harm": sample.response_harm, "topic": None}
    else:
        row |= {"prompt_harm": None, "response_harm": None, "topic": sample.topic}
    if mark is not None and mark.place == "template":
        row["chat_template_kwargs"] = {"enable_thinking": mode == "reasoning"}
    return row


class MixtureWriter:
    """Writes rows piece by piece; a context manager."""

    def __init__(self, folder: Path, mark: Mark | None) -> None:
        self.rows = 0
        self.counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
        self.arrow_bytes = 0
        self.schema = row_schema(mark)
        self._hash = hashlib.sha256()
        self._waiting: list[dict[str, Any]] = []
        path = folder / DATA
        path.parent.mkdir(parents=True)
        self._file = pq.ParquetWriter(
            path, self.schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True
        )

    @property
    def hash(self) -> str:
        """sha256 over the rows so far, as lines of canonical JSON."""
        return self._hash.hexdigest()

    def add(self, row: dict[str, Any]) -> None:
        """One more row."""
        self._hash.update(json.dumps(row, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode("ascii"))
        self._hash.update(b"\n")
        self.rows += 1
        for name, counter in self.counts.items():
            if row[name] is not None:
                counter[row[name]] += 1
        self._waiting.append(row)
        if len(self._waiting) == _BATCH:
            self._write()

    def _write(self) -> None:
        table = pa.Table.from_pylist(self._waiting, schema=self.schema)
        self.arrow_bytes += table.nbytes
        self._file.write_table(table)
        self._waiting = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._waiting:
            self._write()
        self._file.close()
