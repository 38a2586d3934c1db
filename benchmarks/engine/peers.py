"""Other pipelines over the same requests: how fast, and with how much memory."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .measure import Ran, Report
from .ours import CONCURRENCY
from .overhead import WORDS, Requests, recorded
from .teacher import Seen, serving

_DELAY_S = 0.2
_INSTALL_S = 900


@dataclass(frozen=True, slots=True)
class _Peer:
    """A pipeline in an environment of its own."""

    name: str
    script: str
    environment: str
    packages: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


_DATATROVE = ("datatrove==0.10.1", "aiofiles", "aiosqlite", "httpx", "orjson", "xxhash")
"""Not its `inference` extra, which wants vllm and sglang: an endpoint needs neither."""
_PEERS = (
    # requests: it imports it and does not declare it
    _Peer("distilabel 1.5.3", "run_distilabel.py", "distilabel", ("distilabel[openai]==1.5.3", "requests")),
    _Peer("curator 0.1.31", "run_curator.py", "curator", ("bespokelabs-curator==0.1.31",)),
    _Peer("datatrove 0.10.1, checkpoints", "run_datatrove.py", "datatrove", _DATATROVE, (("CHECKPOINTS", "1"),)),
    _Peer("datatrove 0.10.1, none", "run_datatrove.py", "datatrove", _DATATROVE),
)


def peers(report: Report, folder: Path, *, calls: int, environments: Path) -> None:
    """Each peer, and ours just before it, over the requests that ours sends."""
    place, bodies = recorded(folder, calls)
    report.line(f"\npeers: {calls} calls, {CONCURRENCY} in flight, {_DELAY_S * 1000:.0f} ms")
    report.line(f"  {'':32} {'calls/s':>8} {'all-in/s':>9} {'CPU s':>7} {'peak MB':>8} {'in flight':>10} {'kept':>6}")
    with serving(delay_s=_DELAY_S, words=WORDS) as teacher:
        place.serve_from(teacher.url)
        for peer in _PEERS:
            place.clear()
            teacher.reset()
            ours = place.ask()
            rate = ours.replies / ours.asking_s
            _row(report, "ours", rate, ours.ran, teacher.stats(), ours.replies)
            teacher.reset()
            out = folder / "out"
            try:
                python = _environment(peer, environments)
                ran = Requests(teacher.url, bodies, calls, out).send(python, peer.script, dict(peer.env))
                kept = ran.document()["calls"]
            except (RuntimeError, subprocess.SubprocessError) as error:
                report.line(f"  {peer.name:32} not measured: {str(error).strip().splitlines()[-1][:200]}")
                continue
            finally:
                shutil.rmtree(out, ignore_errors=True)
            seen = teacher.stats()
            theirs = kept / seen.window_s
            _row(report, peer.name, theirs, ran, seen, kept)
            report.claim(f"peers: calls/s, ours / {peer.name}", rate / theirs, "ratio", 1.0, "more")
            report.claim(f"peers: peak MB, ours / {peer.name}", ours.ran.peak_mb / ran.peak_mb, "ratio", 1.0, "less")


def _row(report: Report, name: str, rate: float, ran: Ran, seen: Seen, kept: int) -> None:
    """Rate between first request and last reply, and all-in: from the start of the process to its end."""
    all_in = kept / ran.wall_s
    report.line(
        f"  {name:32} {rate:8.0f} {all_in:9.0f} {ran.cpu_s:7.1f} {ran.peak_mb:8.0f} {seen.most_in_flight:10} {kept:6}"
    )
    report.measure(f"peers: calls/s, {name}", rate)
    report.measure(f"peers: calls/s all-in, {name}", all_in)
    report.measure(f"peers: peak MB, {name}", ran.peak_mb)


def _environment(peer: _Peer, environments: Path) -> Path:
    """The peer's Python, installed if it is not there yet.

    Raises: RuntimeError or SubprocessError saying what failed.
    """
    home = environments / peer.environment
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True, timeout=_INSTALL_S)
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *peer.packages]
        installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
        if installed.returncode:
            raise RuntimeError(f"pip install failed: {installed.stderr}")
        (home / "installed").touch()
    return python
