"""Samples on their way, in a temporary file: a run over 200,000 of them needs no more memory than one over 10,000."""

import pickle
import sqlite3
from collections.abc import Iterator

from safety_reasoning.builders.samples import Sample
from safety_reasoning.errors import UsageError


class Spool:
    """Samples in the order they came, each key once. The file has no name and goes with the process."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute("CREATE TABLE samples (id INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, body BLOB NOT NULL)")
        self._size = 0

    def add(self, sample: Sample) -> bool:
        """Whether the sample was added: False where one with its key is there already.

        Raises: UsageError if the temporary folder is full.
        """
        row = (bytes.fromhex(sample.key), pickle.dumps(sample, pickle.HIGHEST_PROTOCOL))
        try:
            done = self._db.execute("INSERT INTO samples (key, body) VALUES (?, ?) ON CONFLICT DO NOTHING", row)
        except sqlite3.OperationalError as error:
            raise UsageError(
                "the samples cannot be kept in a temporary file",
                why=str(error),
                fix="make room, or set TMPDIR and SQLITE_TMPDIR to a folder with room",
            ) from error
        self._size += done.rowcount
        return bool(done.rowcount)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Sample]:
        for (body,) in self._db.execute("SELECT body FROM samples ORDER BY id"):
            yield pickle.loads(body)  # noqa: S301 - our own bytes, from a file that nobody else can open
