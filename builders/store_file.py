"""The store's file: its tables, and how it is opened.

What a status wants is kept up to date by triggers, whoever writes, so it costs the same at a million replies as at ten.
"""

import sqlite3
from pathlib import Path

from safety_reasoning.errors import UsageError

_APPLICATION_ID = 0x53524541  # "SREA": tells our file from any other SQLite file
_FORMAT = 3
COLUMNS = (
    "key, sample_key, teacher, step, sample_index, attempt, status, finish_reason, model,"
    " prompt_tokens, completion_tokens, latency_s, cost_usd, body"
)
_DECLARED = """
  key BLOB NOT NULL {unique},
  sample_key BLOB NOT NULL,
  teacher TEXT NOT NULL,
  step TEXT NOT NULL,
  sample_index INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  status TEXT NOT NULL,
  finish_reason TEXT NOT NULL,
  model TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL,
  latency_s REAL NOT NULL,
  cost_usd REAL,
  body BLOB NOT NULL
"""
_SCHEMA = f"""
CREATE TABLE replies (id INTEGER PRIMARY KEY, {_DECLARED.format(unique="UNIQUE")});
CREATE TABLE retired (id INTEGER PRIMARY KEY, {_DECLARED.format(unique="")});
CREATE TABLE tallies (
  teacher TEXT NOT NULL, step TEXT NOT NULL, status TEXT NOT NULL,
  replies INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  latency_s REAL NOT NULL, cost_usd REAL,
  PRIMARY KEY (teacher, step, status)
) WITHOUT ROWID;
CREATE TRIGGER counted AFTER INSERT ON replies BEGIN
  INSERT INTO tallies VALUES (new.teacher, new.step, new.status, 1, new.prompt_tokens, new.completion_tokens,
                              new.latency_s, new.cost_usd)
  ON CONFLICT DO UPDATE SET
    replies = replies + 1, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
    completion_tokens = completion_tokens + excluded.completion_tokens, latency_s = latency_s + excluded.latency_s,
    cost_usd = CASE WHEN excluded.cost_usd IS NULL THEN cost_usd ELSE coalesce(cost_usd, 0) + excluded.cost_usd END;
END;
CREATE TRIGGER uncounted AFTER DELETE ON replies BEGIN
  UPDATE tallies SET
    replies = replies - 1, prompt_tokens = prompt_tokens - old.prompt_tokens,
    completion_tokens = completion_tokens - old.completion_tokens, latency_s = latency_s - old.latency_s,
    cost_usd = cost_usd - coalesce(old.cost_usd, 0)
  WHERE teacher = old.teacher AND step = old.step AND status = old.status;
END;
CREATE TABLE finished (key BLOB PRIMARY KEY, calls TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE progress (
  teacher TEXT NOT NULL, step TEXT NOT NULL, total INTEGER NOT NULL, before INTEGER NOT NULL,
  done INTEGER NOT NULL, in_flight INTEGER NOT NULL, started_at REAL NOT NULL, updated_at REAL NOT NULL,
  PRIMARY KEY (teacher, step)
) WITHOUT ROWID;
"""  # noqa: S608 - constants


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to the store at `path`, which is made if there is none and `read_only` is not set.

    Raises: UsageError if the file cannot be opened, is no store or is of another format.
    """
    try:
        # The run's loop hands each commit to a worker thread and waits for it: one thread uses it at a time.
        db = sqlite3.connect(path, check_same_thread=False)
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        new = not (version or tables) and application in {0, _APPLICATION_ID}
        if not new and (application, version) != (_APPLICATION_ID, _FORMAT):
            raise UsageError(
                f"{path} is not a store that this version can read",
                why=f"application id {application:#x}, format {version}, expected {_APPLICATION_ID:#x} and {_FORMAT}",
                fix="give the recipe another `release.store`, or use the version of safety-reasoning that wrote it",
            )
        if read_only:
            db.execute("PRAGMA query_only = ON")
        else:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA cache_size = -8000")  # KiB
            db.execute("PRAGMA wal_autocheckpoint = 16000")  # pages, 64 MB: a page that changes often is folded in once
            if new:
                db.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID};"
                    f" PRAGMA user_version = {_FORMAT}; COMMIT;"
                )
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    return db


def unusable(path: Path, error: Exception) -> UsageError:
    """What is said of a store that cannot be opened."""
    return UsageError(
        f"store {path} cannot be opened",
        why=str(error),
        fix="give the recipe a `release.store` that can be written",
    )
