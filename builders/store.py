"""The store: one SQLite file that keeps every reply by the key of its call.

WAL mode, `synchronous=NORMAL`: a reply whose transaction committed survives kill -9 at any instant. The texts
of a reply are one zstd-compressed JSON body; everything one may ask about is a column (builders/store_file.py). The
file needs a local disk (WAL shares memory between processes); a lock keeps a second run away from it, while anybody
may read.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard
from filelock import FileLock, Timeout

from safety_reasoning.builders.calls import Reply, Status, Step, tokens_json, tokens_of_json
from safety_reasoning.builders.finished import Ended
from safety_reasoning.builders.store_file import COLUMNS, connect, unusable
from safety_reasoning.errors import UsageError

_LOOK_S = 0.5
"""How long a run waits for the lock, which whoever looks at a status holds for a moment (`in_use`)."""
_INSERT = f"INSERT INTO replies ({COLUMNS}) VALUES ({', '.join('?' * 14)}) ON CONFLICT (key) DO NOTHING"  # noqa: S608
_SELECT = f"SELECT {COLUMNS} FROM replies"  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Tally:
    """Replies of one teacher and step that ended alike."""

    teacher: str
    step: str
    status: str
    replies: int
    prompt_tokens: int
    completion_tokens: int
    latency_s: float
    """Of all of them together."""
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the latest run came with one teacher and step."""

    teacher: str
    step: str
    total: int
    """Calls that the recipe needs."""
    before: int
    """Of these, in the store when the run began."""
    done: int
    """Of these, in the store now, as far as the run knows."""
    in_flight: int
    started_at: float
    """Unix time."""
    updated_at: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What every reply of a store cost, replies that were asked for again included."""

    calls: int
    tokens: int
    cost_usd: float


class Store:
    """An open store. Use `open_store` or `view_store`."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        # A run commits in a thread of its own while its loop looks up keys: two connections, so that neither waits.
        self._writer = None if read_only else connect(path)
        self._db = connect(path, read_only=True)
        self._pack = zstandard.ZstdCompressor(level=3)
        self._unpack = zstandard.ZstdDecompressor()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def append(self, replies: Iterable[Reply]) -> int:
        """Write the replies in one transaction; a key that is there already stays as it is. How many were new.

        Raises: UsageError if the disk is full or cannot be written; what was committed before is kept.
        """
        rows = [self._row(reply) for reply in replies]
        with self._writing() as db:
            return db.executemany(_INSERT, rows).rowcount

    def retire(self, status: Status, *, teacher: str | None = None, step: str | None = None) -> int:
        """Put replies that ended so aside, whole, so that the next run asks for them again; how many there were."""
        which = "status = ? AND teacher = coalesce(?, teacher) AND step = coalesce(?, step)"
        values = (str(status), teacher, step)
        with self._writing() as db:
            db.execute(
                f"INSERT INTO retired ({COLUMNS}) SELECT {COLUMNS} FROM replies WHERE {which}",  # noqa: S608
                values,
            )
            db.execute("DELETE FROM finished")
            return db.execute(f"DELETE FROM replies WHERE {which}", values).rowcount  # noqa: S608 - constants

    def note_finished(self, chains: Mapping[str, Ended]) -> None:
        """Note where these chains ended, by their keys (`builders.finished`)."""
        rows = [(bytes.fromhex(key), json.dumps(ended.as_json())) for key, ended in chains.items()]
        if rows:
            with self._writing() as db:
                db.executemany("INSERT INTO finished VALUES (?, ?) ON CONFLICT DO NOTHING", rows)

    def finished(self, key: str) -> Ended | None:
        """Where a chain ended; None where that is not noted."""
        with self._reading():
            row = self._db.execute("SELECT calls FROM finished WHERE key = ?", (bytes.fromhex(key),)).fetchone()
            return None if row is None else Ended.of_json(json.loads(row[0]))

    def set_progress(self, lines: Iterable[Progressed]) -> None:
        """Replace what is known of the latest run."""
        with self._writing() as db:
            db.execute("DELETE FROM progress")
            rows = [
                (p.teacher, p.step, p.total, p.before, p.done, p.in_flight, p.started_at, p.updated_at) for p in lines
            ]
            db.executemany("INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self._writer is None:
            raise TypeError("the store was opened to be read")
        try:
            with self._writer:
                yield self._writer
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
        with self._reading():
            row = self._db.execute(f"{_SELECT} WHERE key = ?", (bytes.fromhex(key),)).fetchone()
            return None if row is None else self._reply(row)

    def __contains__(self, key: str) -> bool:
        with self._reading():
            found = self._db.execute("SELECT 1 FROM replies WHERE key = ?", (bytes.fromhex(key),))
            return found.fetchone() is not None

    def __len__(self) -> int:
        return sum(tally.replies for tally in self.tallies())

    def __iter__(self) -> Iterator[Reply]:
        """Every reply, sorted by key.

        Raises: UsageError if the file is damaged.
        """
        with self._reading():
            for row in self._db.execute(f"{_SELECT} ORDER BY key"):
                yield self._reply(row)

    def tallies(self) -> list[Tally]:
        """How the replies ended, by teacher, step and status."""
        with self._reading():
            rows = self._db.execute("SELECT * FROM tallies WHERE replies > 0 ORDER BY teacher, step, status")
            return [Tally(*row) for row in rows]

    def progress(self) -> list[Progressed]:
        """What the latest run said of itself, by teacher and step."""
        with self._reading():
            rows = self._db.execute("SELECT * FROM progress ORDER BY teacher, step")
            return [Progressed(*row) for row in rows]

    def spent(self) -> Spent:
        """What all replies cost together."""
        columns = "sum(prompt_tokens) + sum(completion_tokens), sum(cost_usd)"
        with self._reading():
            kept = self._db.execute(f"SELECT sum(replies), {columns} FROM tallies").fetchone()  # noqa: S608 - constants
            retired = self._db.execute(f"SELECT count(*), {columns} FROM retired").fetchone()  # noqa: S608
        calls, tokens, cost = ((a or 0) + (b or 0) for a, b in zip(kept, retired, strict=True))
        return Spent(calls, tokens, cost)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, zstandard.ZstdError, ValueError) as error:
            raise UsageError(
                f"store {self._path} is damaged",
                why=str(error),
                fix="put back a copy of it, or give the recipe another `release.store` and ask again",
            ) from error

    def _reply(self, row: tuple[Any, ...]) -> Reply:
        key, sample_key, teacher, step, index, attempt, status, finish, model, sent, made, latency_s, cost, body = row
        texts = json.loads(self._unpack.decompress(body))
        return Reply(
            key=key.hex(),
            sample_key=sample_key.hex(),
            teacher=teacher,
            step=Step(step),
            sample_index=index,
            attempt=attempt,
            status=Status(status),
            finish_reason=finish,
            model=model,
            prompt_tokens=sent,
            completion_tokens=made,
            latency_s=latency_s,
            cost_usd=cost,
            reasoning=texts["reasoning"],
            answer=texts["answer"],
            tokens=tokens_of_json(texts.get("tokens", [])),
            error=texts["error"],
        )

    def _row(self, reply: Reply) -> tuple[object, ...]:
        texts: dict[str, Any] = {"reasoning": reply.reasoning, "answer": reply.answer, "error": reply.error}
        if reply.tokens:
            texts["tokens"] = tokens_json(reply.tokens)
        return (
            bytes.fromhex(reply.key),
            bytes.fromhex(reply.sample_key),
            reply.teacher,
            reply.step,
            reply.sample_index,
            reply.attempt,
            reply.status,
            reply.finish_reason,
            reply.model,
            reply.prompt_tokens,
            reply.completion_tokens,
            reply.latency_s,
            reply.cost_usd,
            self._pack.compress(json.dumps(texts, ensure_ascii=True).encode("ascii")),
        )

    def close(self) -> None:
        """Close the file; SQLite folds its WAL into it."""
        self._db.close()
        if self._writer is not None:
            self._writer.close()


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """The store at `path`, made if there is none, held for this process alone to write to.

    Raises: UsageError if the path cannot be written, is no store, is of another format, or is in use.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
        lock.acquire(timeout=_LOOK_S, poll_interval=0.01)
    except Timeout:
        raise UsageError(
            f"store {path} is in use",
            why="another run is writing to it",
            fix="wait for it to end, or give this recipe another `release.store`",
        ) from None
    except OSError as error:
        raise unusable(path, error) from error
    try:
        store = Store(path)
        try:
            yield store
        finally:
            store.close()
    finally:
        lock.release()


@contextmanager
def view_store(path: Path) -> Iterator[Store]:
    """The store at `path` to read, whether or not a run is writing to it.

    Raises: UsageError if there is none, or it cannot be read.
    """
    if not path.is_file() or not path.stat().st_size:
        raise UsageError(f"there is no store at {path}", fix="run `safety-reasoning traces generate` first")
    store = Store(path, read_only=True)
    try:
        yield store
    finally:
        store.close()


def in_use(path: Path) -> bool:
    """Whether a run holds the store at this moment."""
    try:
        with _lock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that is read-only here: nobody can write to it
        return False


def _lock(path: Path) -> FileLock:
    return FileLock(f"{path}.lock")
