"""kill -9 at random moments of a run: nothing that was finished is lost, next to nothing is asked again."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .measure import Report
from .ours import CONCURRENCY, Workplace, workplace
from .teacher import Teacher, serving

_KEYS = "SELECT key FROM replies"


@dataclass(frozen=True, slots=True)
class _Kill:
    """The run until `at` requests were answered in all, and a little further."""

    at: int
    pause_s: float


def kills(report: Report, folder: Path, *, calls: int, times: int, delay_s: float = 0.2) -> None:
    """Kill the command again and again, then let it end."""
    draw = random.Random(20)  # noqa: S311  # not for secrets
    moments = [_Kill(at, draw.uniform(0, 0.25)) for at in sorted(draw.sample(range(int(calls * 0.98)), times))]
    report.line(f"\nkills: {times} × SIGKILL in {calls} calls, {CONCURRENCY} in flight, {delay_s * 1000:.0f} ms")
    lost = wasted = most = 0
    finished: set[bytes] = set()
    with serving(delay_s=delay_s) as teacher:
        place = workplace(folder / "kills", calls // 2, teacher.url)
        for moment in moments:
            finished |= _killed(place, teacher, moment)
            kept = _keys_after(place, folder / "copy")
            lost += len(finished - kept)
            finished |= kept
            answered = teacher.settled().answered
            most = max(most, answered - len(kept) - wasted)
            wasted = answered - len(kept)
        place.ask()
        seen = teacher.settled()
    rows, keys = place.query("SELECT count(*), count(DISTINCT key) FROM replies")[0]
    lost += len(finished - {key for (key,) in place.query(_KEYS)})
    report.line(f"  {seen.answered} whole answers for {rows} replies; whole answers wasted by one kill: at most {most}")
    report.claim("kills: finished replies lost", lost, "replies", 0, "less")
    report.claim("kills: calls missing at the end, or kept twice", calls - keys + rows - keys, "replies", 0, "less")
    report.claim("kills: calls repeated for one kill, at most", most, "calls", CONCURRENCY, "less")
    report.claim("kills: calls repeated in all", seen.repeated, "calls", times * CONCURRENCY, "less")


def _killed(place: Workplace, teacher: Teacher, moment: _Kill) -> set[bytes]:
    """Run until the moment, then kill; the keys that another process could read just before."""
    before: set[bytes] = set()

    def kill(process: "subprocess.Popen[bytes]") -> None:
        while teacher.stats().answered < moment.at and Path("/proc", str(process.pid), "exe").exists():
            time.sleep(0.005)
        time.sleep(moment.pause_s)
        if place.store.stat().st_size if place.store.exists() else 0:
            before.update(key for (key,) in _keys_now(place))
        os.killpg(process.pid, signal.SIGKILL)

    ran = place.generate(meanwhile=kill)
    if ran.code != -signal.SIGKILL:
        raise RuntimeError(f"it ended before it was killed, exit code {ran.code}: {ran.stderr[-2000:]}")
    return before


def _keys_now(place: Workplace) -> list[tuple[bytes]]:
    try:
        return place.query(_KEYS)
    except sqlite3.OperationalError:  # the table is being made
        return []


def _keys_after(place: Workplace, copy: Path) -> set[bytes]:
    """The keys in the store as the killed run left it; read from a copy, so that the next run finds the same."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in place.folder.glob("store.sqlite*"):
        if path.suffix in {".sqlite", ".sqlite-wal"}:
            shutil.copyfile(path, copy / path.name)
    if not (copy / "store.sqlite").exists():
        return set()
    with closing(sqlite3.connect(copy / "store.sqlite")) as db:
        made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'replies'").fetchone()
        return {key for (key,) in db.execute(_KEYS)} if made else set()
