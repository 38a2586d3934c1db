"""What the engine costs: its rate against loops that send the same requests and keep nothing."""

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from .measure import Ran, Report, run
from .ours import CONCURRENCY, Workplace, workplace
from .teacher import serving

PEERS = Path(__file__).parent.parent / "peers"
WORDS = 200
"""Of a full trace."""


def recorded(folder: Path, calls: int) -> tuple[Workplace, Path]:
    """A workplace, and the requests that our engine sends for it, as the server read them."""
    with serving(keep=True, words=WORDS) as teacher:
        place = workplace(folder / "ours", calls // 2, teacher.url)
        place.ask()
        bodies = folder / "bodies.jsonl"
        teacher.bodies(bodies)
    return place, bodies


@dataclass(frozen=True, slots=True)
class Requests:
    """What every script of benchmarks/peers sends, where to, and where it may write."""

    url: str
    bodies: Path
    calls: int
    out: Path

    def send(self, python: Path, script: str, env: dict[str, str] | None = None) -> Ran:
        """Run a script in the environment of that Python."""
        numbers = ["--calls", str(self.calls), "--concurrency", str(CONCURRENCY)]
        places = ["--url", self.url, "--bodies", str(self.bodies), "--out", str(self.out)]
        return run([python, PEERS / script, *numbers, *places], cwd=PEERS, env=env, timeout_s=900)


def overhead(report: Report, folder: Path, *, calls: int, rounds: int) -> None:
    """Ours, durable, against AsyncOpenAI and against aiohttp, which store nothing; the median of a few rounds."""
    place, bodies = recorded(folder, calls)
    texts = [json.loads(line)["messages"][0]["content"] for line in bodies.read_text(encoding="utf-8").splitlines()]
    mean = statistics.fmean(len(text.encode()) for text in texts)
    report.line(f"\noverhead: {calls} calls, {CONCURRENCY} in flight, prompts of {mean / 1000:.1f} kB (mean)")
    report.line(f"  {'':36} {'calls/s':>8} {'CPU ms/call':>12} {'server CPU ms/call':>19} {'peak MB':>8}")
    for delay_s in (0.0, 0.2):
        rates: dict[str, list[float]] = {"aiohttp": [], "AsyncOpenAI": [], "ours": []}
        with serving(delay_s=delay_s, words=WORDS) as teacher:
            place.serve_from(teacher.url)
            requests = Requests(teacher.url, bodies, calls, folder / "out")
            for _ in range(rounds):
                for name, seen in rates.items():
                    teacher.reset()
                    if name == "ours":
                        place.clear()
                        asked = place.ask()
                        done, seconds, ran = asked.replies, asked.asking_s, asked.ran
                    else:
                        script = "bare_aiohttp.py" if name == "aiohttp" else "bare_openai.py"
                        ran = requests.send(Path(sys.executable), script)
                        said = ran.document()
                        done, seconds = said["calls"], said["seconds"]
                    if done != calls:
                        raise RuntimeError(f"{name} got {done} replies for {calls} calls")
                    seen.append(done / seconds)
                    _row(report, f"{name}, {delay_s * 1000:.0f} ms", seen[-1], ran, teacher.stats().cpu_s, calls)
        for other in ("AsyncOpenAI", "aiohttp"):
            ratio = statistics.median(a / b for a, b in zip(rates["ours"], rates[other], strict=True))
            report.claim(f"overhead: ours / {other}, {delay_s * 1000:.0f} ms", ratio, "ratio", 0.9, "more")
        for name, seen in rates.items():
            report.measure(f"calls/s, {name}, {delay_s * 1000:.0f} ms", statistics.median(seen))


def _row(report: Report, name: str, rate: float, ran: Ran, server_cpu_s: float, calls: int) -> None:
    cpu_ms, server_ms = 1000 * ran.cpu_s / calls, 1000 * server_cpu_s / calls
    report.line(f"  {name:36} {rate:8.0f} {cpu_ms:12.2f} {server_ms:19.2f} {ran.peak_mb:8.0f}")
