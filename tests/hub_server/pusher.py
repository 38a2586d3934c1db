"""Pushes in processes of their own that start at once: one process imports everything and forks itself for each.

The endpoint of a Hub is read when its client is imported, so the Hub is started first and lasts as long.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.conftest import ROOT
from tests.hub_server.faults import Fault
from tests.hub_server.server import HubServer


@dataclass(frozen=True, slots=True)
class Done:
    """How a push ended: its exit code as the command's, -9 if it was killed, and what it printed."""

    returncode: int
    out: str
    err: str


class Running:
    """A push under way; it has told its process id, and its pipe closes when it ends, however it ends."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe
        self._pid = int(pipe.readline())

    def kill(self) -> None:
        """SIGKILL: nothing of the process runs any more."""
        os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> Done:
        """How it ended."""
        with self._pipe:
            told = self._pipe.read()
        return Done(**json.loads(told)) if told else Done(-signal.SIGKILL, "", "")


class Pusher:
    """Starts pushes to one Hub."""

    def __init__(self, hub: HubServer, jobs: IO[str], folder: Path) -> None:
        self.hub = hub
        self._jobs = jobs
        self._folder = folder
        self._started = 0

    def start(self, release: Path, repo: str, **options: Any) -> Running:
        """Begin a push; options are the fields of `Target` and `Patience`, and `tag`, `allow_token_like`."""
        self._started += 1
        pipe = self._folder / f"{self._started}.pipe"
        os.mkfifo(pipe)
        job = {"release": str(release), "repo": repo, "pipe": str(pipe), "options": options}
        self._jobs.write(json.dumps(job) + "\n")
        self._jobs.flush()
        return Running(pipe.open(encoding="utf-8"))

    def push(self, release: Path, repo: str, **options: Any) -> Done:
        """A push from its beginning to its end."""
        return self.start(release, repo, **options).wait()

    def killed(self, fault: Fault, release: Path, repo: str, **options: Any) -> Done:
        """A push that gets SIGKILL at the request that meets the fault (a `call` or `call_after`)."""
        running: list[Running] = []
        fault.run = lambda: running[0].kill()
        self.hub.plan(fault)
        running.append(self.start(release, repo, **options))
        return running[0].wait()


@contextmanager
def pushing(hub: HubServer, environment: dict[str, str]) -> Iterator[Pusher]:
    """A process whose forks push to this Hub."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub_server.forks"],
            stdin=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | environment | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        )
        with process:
            if process.stdin is None:
                raise OSError("no pipe to the process")
            yield Pusher(hub, process.stdin, Path(folder))
