"""The marks in the store's file: a table of their own, to which rows are only added.

It is made when the first review begins, over a connection of its own: a run that holds the store's lock is not in the
way, and stores that were made before need no change. A mark is work that no run can repeat, so a commit waits for the
disk (`synchronous = FULL`), unlike that of a reply.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from safety_reasoning.builders.store_file import connect
from safety_reasoning.errors import UsageError
from safety_reasoning.review.marks import Findings, Mark
from safety_reasoning.review.sample import Stratum

_TABLE = """
CREATE TABLE IF NOT EXISTS marks (
  id INTEGER PRIMARY KEY,
  reviewer TEXT NOT NULL,
  key BLOB NOT NULL,
  sample_key BLOB NOT NULL,
  modes TEXT,
  note TEXT NOT NULL,
  marked_at REAL NOT NULL,
  findings TEXT NOT NULL,
  teacher TEXT NOT NULL,
  step TEXT NOT NULL,
  reason TEXT NOT NULL,
  verdict TEXT NOT NULL,
  stratum_size INTEGER NOT NULL,
  stratum_drawn INTEGER NOT NULL
)
"""
_COLUMNS = (
    "reviewer, key, sample_key, modes, note, marked_at, findings, teacher, step, reason, verdict,"
    " stratum_size, stratum_drawn"
)
_WAIT_MS = 3000
"""How long a mark waits for a run that is committing; the page tries again after that."""


class MarkStore:
    """The marks of a store, to read and to add to; from one thread or from several."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db, self._path = db, path
        self._one_at_a_time = threading.Lock()

    def save(self, mark: Mark) -> None:
        """Add a mark; once this returns, it is on disk.

        Raises: UsageError if it could not be written (a full disk, a run that does not let go): nothing was.
        """
        with self._one_at_a_time, _told(self._path), self._db:
            self._db.execute(
                f"INSERT INTO marks ({_COLUMNS}) VALUES ({', '.join('?' * 13)})",  # noqa: S608 - constants
                _row(mark),
            )

    def of(self, reviewer: str) -> list[Mark]:
        """Every mark of a reviewer, the oldest first, those that later ones replaced included."""
        with self._one_at_a_time, _told(self._path):
            return [mark for mark in _marks(self._db) if mark.reviewer == reviewer]


@contextmanager
def open_marks(path: Path) -> Iterator[MarkStore]:
    """The marks of the store at `path`, which is there; their table is made if need be.

    Raises: UsageError if the file cannot be written.
    """
    with closing(connect(path)) as db:
        with _told(path), db:
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
            db.execute("BEGIN IMMEDIATE")  # a file that cannot be written is told now, not at the first mark
            db.execute(_TABLE)
        yield MarkStore(db, path)


def read_marks(path: Path) -> list[Mark]:
    """Every mark in the store at `path`, the oldest first; none where nobody has reviewed it."""
    with closing(connect(path, read_only=True)) as db, _told(path):
        (there,) = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'marks'").fetchone()
        return _marks(db) if there else []


def _marks(db: sqlite3.Connection) -> list[Mark]:
    return [_mark(row) for row in db.execute(f"SELECT {_COLUMNS} FROM marks ORDER BY id")]  # noqa: S608 - constants


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise UsageError(
            f"the marks in {path} cannot be read or written",
            why=str(error),
            fix="make room or mend the permissions; marks that were saved are kept",
        ) from error


def _row(mark: Mark) -> tuple[object, ...]:
    stratum = mark.stratum
    return (
        mark.reviewer,
        bytes.fromhex(mark.key),
        bytes.fromhex(mark.sample_key),
        None if mark.modes is None else json.dumps(mark.modes),
        mark.note,
        mark.marked_at,
        mark.findings,
        *(stratum.teacher, stratum.step, stratum.reason, stratum.verdict),
        *(mark.size, mark.drawn),
    )


def _mark(row: tuple[str, bytes, bytes, str | None, str, float, str, str, str, str, str, int, int]) -> Mark:
    reviewer, key, sample_key, modes, note, marked_at, findings, teacher, step, reason, verdict, size, drawn = row
    return Mark(
        reviewer=reviewer,
        key=key.hex(),
        sample_key=sample_key.hex(),
        modes=None if modes is None else tuple(json.loads(modes)),
        note=note,
        marked_at=marked_at,
        findings=Findings(findings),
        stratum=Stratum(teacher=teacher, step=step, reason=reason, verdict=verdict),
        size=size,
        drawn=drawn,
    )
