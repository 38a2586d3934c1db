"""Parts: requests and replies as Parquet, to carry work to other machines and replies back to the store.

A part appears whole or not at all: it is written under another name, flushed and renamed. A reply may come
twice, in two parts or in a part and the store: it has one key, and the store keeps the first.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.builders.calls import Reply, Request, Status, Step, tokens_json, tokens_of_json
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.store import Store
from safety_reasoning.errors import UsageError

_IDENTITY = [
    ("key", pa.string()),
    ("sample_key", pa.string()),
    ("teacher", pa.string()),
    ("step", pa.string()),
    ("sample_index", pa.int32()),
    ("attempt", pa.int32()),
]
REQUEST_SCHEMA = pa.schema(
    [*_IDENTITY, ("model", pa.string()), ("text", pa.binary()), ("messages", pa.string()),
     ("template_kwargs", pa.string()), ("raw", pa.bool_()), ("head", pa.binary()), ("sampling", pa.string()),
     ("logprobs", pa.int32()), ("grammar", pa.string())]
)  # fmt: skip
"""Texts are UTF-8 in which a lone surrogate may stand, which a Parquet string must not hold; messages are JSON."""
REPLY_SCHEMA = pa.schema(
    [
        *_IDENTITY,
        ("status", pa.string()),
        ("finish_reason", pa.string()),
        ("model", pa.string()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("latency_s", pa.float64()),
        ("cost_usd", pa.float64()),
        ("reasoning", pa.string()),
        ("answer", pa.string()),
        ("error", pa.string()),
        ("escaped", pa.bool_()),
        ("tokens", pa.string()),
    ]
)
"""`escaped`: the three texts are JSON strings, since one of them holds a lone surrogate. `tokens`: JSON, null for none;
parts that older versions wrote have no such column."""
_MAY_LACK = frozenset({"tokens"})
_TEXTS = ("reasoning", "answer", "error")
_ROWS = 1000
"""Rows in memory at a time."""


def write_requests(path: Path, requests: Iterable[Request]) -> int:
    """One part of requests; how many there were."""
    return _write(path, REQUEST_SCHEMA, (_request_row(request) for request in requests))


def read_requests(path: Path) -> Iterator[Request]:
    """The requests of a part."""
    for row in _read(path, REQUEST_SCHEMA):
        yield request_of(row)


def request_of(row: dict[str, Any]) -> Request:
    """The request in a row of `REQUEST_SCHEMA`."""
    return Request(
        **row
        | {
            "step": Step(row["step"]),
            "text": row["text"].decode("utf-8", "surrogatepass"),
            "messages": tuple(Turn(role, content) for role, content in json.loads(row["messages"])),
            "template_kwargs": json.loads(row["template_kwargs"]),
            "head": row["head"].decode("utf-8", "surrogatepass"),
            "sampling": Sampling.model_validate_json(row["sampling"]),
        }
    )


def write_replies(path: Path, replies: Iterable[Reply]) -> int:
    """One part of replies; how many there were."""
    return _write(path, REPLY_SCHEMA, (_reply_row(reply) for reply in replies))


def read_replies(path: Path) -> Iterator[Reply]:
    """The replies of a part.

    Raises: UsageError if the file is no Parquet, lacks a column, or holds a value that no reply can have.
    """
    for number, row in enumerate(_read(path, REPLY_SCHEMA), start=1):
        try:
            yield _reply_of(row)
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{path}, row {number}: not a reply",
                why=str(error),
                fix="give the parts that `traces export` or a ray engine wrote",
            ) from None


def merge(store: Store, parts: Iterable[Path]) -> tuple[int, int]:
    """Put the replies of parts into the store: how many were new, and how many it had already.

    Raises: UsageError naming the part that cannot be read; what came before it is kept.
    """
    new, seen = 0, 0
    for part in parts:
        replies = read_replies(part)
        while group := list(islice(replies, _ROWS)):
            new += store.append(group)
            seen += len(group)
    return new, seen - new


def _request_row(request: Request) -> dict[str, Any]:
    row = {field.name: getattr(request, field.name) for field in dataclasses.fields(Request)}
    return row | {
        "step": str(request.step),
        "text": request.text.encode("utf-8", "surrogatepass"),
        "messages": json.dumps([[turn.role, turn.content] for turn in request.messages]),
        "template_kwargs": json.dumps(dict(request.template_kwargs)),
        "head": request.head.encode("utf-8", "surrogatepass"),
        "sampling": request.sampling.model_dump_json(),
    }


def _reply_row(reply: Reply) -> dict[str, Any]:
    row = {field.name: getattr(reply, field.name) for field in dataclasses.fields(Reply)}
    tokens = json.dumps(tokens_json(reply.tokens)) if reply.tokens else None
    row |= {"step": str(reply.step), "status": str(reply.status), "escaped": not _encodes(reply), "tokens": tokens}
    if row["escaped"]:
        row |= {name: json.dumps(row[name]) for name in _TEXTS}
    return row


def _encodes(reply: Reply) -> bool:
    try:
        f"{reply.reasoning}{reply.answer}{reply.error}".encode()
    except UnicodeEncodeError:
        return False
    return True


def _reply_of(row: dict[str, Any]) -> Reply:
    row["tokens"] = tokens_of_json(json.loads(row.pop("tokens") or "[]"))
    if row.pop("escaped"):
        row |= {name: json.loads(row[name]) for name in _TEXTS}
        if not all(isinstance(row[name], str | None) for name in _TEXTS):
            raise ValueError("an escaped text is no JSON text")
    for name in ("key", "sample_key"):
        if len(bytes.fromhex(row[name])) != 16:
            raise ValueError(f"{name} is not 32 hex digits")
    if not all(math.isfinite(row[name] or 0.0) for name in ("latency_s", "cost_usd")):
        raise ValueError("latency_s or cost_usd is no number")
    absent = [name for name, value in row.items() if value is None and name not in {"reasoning", "cost_usd"}]
    if absent:
        raise ValueError(f"{absent[0]} is null")
    return Reply(**row | {"step": Step(row["step"]), "status": Status(row["status"])})


def _write(path: Path, schema: pa.Schema, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    with _whole(path) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        while group := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A path beside `path` that takes its name when the block has ended well and the bytes are on disk."""
    if path.is_dir():
        raise UsageError(f"{path} cannot be written", why="it is a folder", fix="give the name of a file")
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError as error:
        fix = "make room or mend the permissions"
        raise UsageError(f"{path} cannot be written", why=str(error), fix=fix) from error
    finally:
        with suppress(OSError):  # its folder is none
            aside.unlink(missing_ok=True)


def _read(path: Path, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    try:
        with pq.ParquetFile(path) as file:
            lacks = _MAY_LACK - set(file.schema_arrow.names)
            there = pa.schema([field for field in schema if field.name not in lacks])
            nothing = dict.fromkeys(lacks & set(schema.names))
            for batch in file.iter_batches(batch_size=_ROWS, columns=there.names):
                for row in pa.Table.from_batches([batch]).select(there.names).cast(there).to_pylist():
                    yield row | nothing
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UsageError(
            f"{path} cannot be read as a part",
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
            fix="give the parts that `traces export` or a ray engine wrote",
        ) from None
