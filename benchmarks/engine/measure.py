"""Measuring a command: its time, its processor time, the peak memory of its process tree; and what is reported."""

import json
import os
import platform
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

_EVERY_S = 0.05
"""Between two looks at the memory."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A number, and whether it keeps to its goal."""

    name: str
    value: float
    unit: str
    goal: float
    holds: bool


@dataclass(slots=True)
class Report:
    """What a benchmark says: lines to read, claims, and numbers beside them."""

    claims: list[Claim] = field(default_factory=list)
    measured: dict[str, float] = field(default_factory=dict)

    def line(self, text: str = "") -> None:
        """A line for the reader, at once."""
        print(text, flush=True)

    def claim(self, name: str, value: float, unit: str, goal: float, better: Literal["more", "less"]) -> None:
        """`value` is to be at least (`more`) or at most (`less`) `goal`."""
        holds = value >= goal if better == "more" else value <= goal
        self.claims.append(Claim(name, round(value, 3), unit, round(goal, 3), holds))
        sign = "≥" if better == "more" else "≤"
        self.line(f"  {'holds ' if holds else 'MISSED'} {name:62} {value:10.2f} {unit:10} {sign} {goal:.2f}")

    def measure(self, name: str, value: float) -> None:
        """A number without a goal, for the JSON document."""
        self.measured[name] = round(value, 3)

    def end(self) -> None:
        """The JSON document, as the last line."""
        claims = [asdict(claim) for claim in self.claims]
        print(json.dumps({"claims": claims, "measured": self.measured, "machine": machine()}))


def machine() -> dict[str, object]:
    """What the numbers were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended."""

    code: int
    stdout: str
    stderr: str
    wall_s: float
    cpu_s: float
    """Of the command and the children that it waited for."""
    peak_mb: float
    """The largest sum of the resident memory of its process tree, in 10⁶ bytes, that two of 20 looks a second in a
    row found."""

    def document(self, *allowed: int) -> dict[str, Any]:
        """The JSON document on the last line of stdout.

        Raises: RuntimeError with what the command said if it ended with neither 0 nor an `allowed` exit code.
        """
        if self.code not in {0, *allowed}:
            raise RuntimeError(f"exit code {self.code}: {(self.stderr or self.stdout)[-2000:]}")
        document: dict[str, Any] = json.loads(self.stdout.strip().splitlines()[-1])
        return document


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout_s: float = 3600,
    meanwhile: Callable[["subprocess.Popen[bytes]"], None] | None = None,
) -> Ran:
    """Run a command and watch the memory of its process tree; what it leaves behind, or past `timeout_s`, is killed.

    `meanwhile` is called once with the process; it may end it.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        watch = _Watch(process.pid, started + timeout_s)
        watch.start()
        if meanwhile is not None:
            meanwhile(process)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.ended.set()
        watch.join()
        _kill(-process.pid)
        out.seek(0)
        err.seek(0)
        said = (out.read().decode("utf-8", "replace"), err.read().decode("utf-8", "replace"))
        cpu_s = usage.ru_utime + usage.ru_stime
        return Ran(process.returncode, *said, wall_s, cpu_s, watch.peak / 1e6)


class _Watch(threading.Thread):
    """Looks at the memory of a process tree until `ended` is set."""

    def __init__(self, root: int, deadline: float) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.peak = 0
        self._root = root
        self._deadline = deadline

    def run(self) -> None:
        before = 0
        while not self.ended.wait(_EVERY_S):
            pids = _tree(self._root)
            now = sum(map(_resident, pids))
            # Of two looks the smaller: a process that is just starting another one counts twice for an instant.
            self.peak = max(self.peak, min(before, now))
            before = now
            if time.monotonic() > self._deadline:
                for pid in pids:
                    _kill(pid)


def _tree(root: int) -> list[int]:
    """The process, its children, and theirs."""
    found = [root]
    for pid in found:
        try:
            for task in Path("/proc", str(pid), "task").iterdir():
                found += map(int, (task / "children").read_text(encoding="utf-8").split())
        except OSError:  # it has just ended
            continue
    return found


def _resident(pid: int) -> int:
    try:
        pages = int(Path("/proc", str(pid), "statm").read_text(encoding="utf-8").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
