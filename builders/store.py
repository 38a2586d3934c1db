"""The store: one SQLite file that keeps every reply by the key of its call.

WAL mode, `synchronous=NORMAL`: a reply whose transaction committed survives kill -9 at any instant. The texts
of a reply are one zstd-compressed JSON body; everything one may ask about is a column. The file needs a local
disk (WAL shares memory between processes); a lock keeps a second run away from it.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from filelock import FileLock, Timeout

from safety_reasoning.builders.calls import Call, Reply, Status
from safety_reasoning.errors import UsageError

_APPLICATION_ID = 0x53524541  # "SREA": tells our file from any other SQLite file
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  sample_key BLOB NOT NULL,
  teacher TEXT NOT NULL,
  step TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  status TEXT NOT NULL,
  finish_reason TEXT NOT NULL,
  model TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  latency_s REAL NOT NULL,
  body BLOB NOT NULL
);
"""
_INSERT = """
INSERT INTO replies (key, sample_key, teacher, step, attempt, status, finish_reason, model,
                     prompt_tokens, completion_tokens, latency_s, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING
"""
_SELECT = """
SELECT key, status, finish_reason, model, prompt_tokens, completion_tokens, latency_s, body
FROM replies WHERE key = ?
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """Replies of one teacher and step that ended alike."""

    teacher: str
    step: str
    status: str
    replies: int
    completion_tokens: int


class Store:
    """An open store. Use `open_store`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path
        self._pack = zstandard.ZstdCompressor(level=3)
        self._unpack = zstandard.ZstdDecompressor()

    def append(self, answered: Iterable[tuple[Call, Reply]]) -> None:
        """Write the replies in one transaction; a key that is there already stays as it is.

        Raises: UsageError if the disk is full or cannot be written; what was committed before is kept.
        """
        rows = [self._row(call, reply) for call, reply in answered]
        try:
            with self._db:
                self._db.executemany(_INSERT, rows)
        except sqlite3.OperationalError as error:
            raise UsageError(
                f"store {self._path} cannot be written",
                why=str(error),
                fix="make room or mend the permissions, then run again: finished replies are kept",
            ) from error

    def get(self, key: str) -> Reply | None:
        """The reply of a call, None where there is none.

        Raises: UsageError if the file is damaged.
        """
        try:
            row = self._db.execute(_SELECT, (bytes.fromhex(key),)).fetchone()
            return None if row is None else self._reply(row)
        except (sqlite3.DatabaseError, zstandard.ZstdError, ValueError) as error:
            raise UsageError(
                f"store {self._path} is damaged",
                why=str(error),
                fix="put back a copy of it, or give the recipe another `release.store` and ask again",
            ) from error

    def _reply(self, row: tuple[Any, ...]) -> Reply:
        key, status, finish, model, prompt_tokens, completion_tokens, latency_s, body = row
        texts = json.loads(self._unpack.decompress(body))
        return Reply(
            key=key.hex(),
            status=Status(status),
            finish_reason=finish,
            model=model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            latency_s=latency_s,
            reasoning=texts["reasoning"],
            answer=texts["answer"],
            error=texts["error"],
        )

    def __contains__(self, key: str) -> bool:
        found = self._db.execute("SELECT 1 FROM replies WHERE key = ?", (bytes.fromhex(key),))
        return found.fetchone() is not None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM replies").fetchone()[0])

    def tallies(self) -> Iterator[Tally]:
        """How the replies ended, by teacher and step."""
        rows = self._db.execute(
            "SELECT teacher, step, status, count(*), sum(completion_tokens) FROM replies"
            " GROUP BY teacher, step, status ORDER BY teacher, step, status"
        )
        for row in rows:
            yield Tally(*row)

    def _row(self, call: Call, reply: Reply) -> tuple[object, ...]:
        texts = {"reasoning": reply.reasoning, "answer": reply.answer, "error": reply.error}
        return (
            bytes.fromhex(reply.key),
            bytes.fromhex(call.sample_key),
            call.teacher,
            call.step,
            call.attempt,
            reply.status,
            reply.finish_reason,
            reply.model,
            reply.prompt_tokens,
            reply.completion_tokens,
            reply.latency_s,
            self._pack.compress(json.dumps(texts, ensure_ascii=True).encode("ascii")),
        )

    def close(self) -> None:
        """Close the file; SQLite folds its WAL into it."""
        self._db.close()


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """The store at `path`, made if there is none, held for this process alone.

    Raises: UsageError if the path cannot be written, is no store, is of a newer format, or is in use.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"store {path} is in use",
            why="another run is writing to it",
            fix="wait for it to end, or give this recipe another `release.store`",
        ) from None
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        store = Store(_connect(path), path)
        try:
            yield store
        finally:
            store.close()
    finally:
        lock.release()


def _connect(path: Path) -> sqlite3.Connection:
    try:
        # One thread uses it at a time: the run's loop hands each commit to a worker thread and waits for it.
        db = sqlite3.connect(path, check_same_thread=False)
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application != _APPLICATION_ID and (tables or application)) or version > _FORMAT:
            raise UsageError(
                f"{path} is not a store that this version can read",
                why=f"application id {application:#x}, format {version}",
                fix="give the recipe another `release.store`, or update safety-reasoning",
            )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {_FORMAT}")
        db.executescript(_SCHEMA)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return db


def _unusable(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"store {path} cannot be opened",
        why=str(error),
        fix="give the recipe a `release.store` that can be written",
    )
