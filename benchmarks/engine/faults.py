"""A server that fails a third of the time: every sample ends, none twice, and in a time that its faults explain."""

from pathlib import Path
from typing import Any

from .measure import Report
from .ours import CONCURRENCY, Workplace, workplace
from .teacher import serving

_FAULTS: dict[str, Any] = {
    "busy": 0.1,
    "retry_after_s": 1.0,
    "failing": 0.1,
    "reset": 0.05,
    "cut": 0.05,
    "garbage": 0.05,
}
_RUNS = 5
"""At most, until none of the calls is left unfinished."""
_ENDED = """
SELECT count(DISTINCT sample_key) FROM replies WHERE step LIKE 'efficient%' OR (step = 'full' AND status != 'ok')
"""


def faults(report: Report, folder: Path, *, calls: int, delay_s: float = 0.2) -> None:
    """The run with faults against the one without, on the same samples."""
    with serving(delay_s=delay_s) as teacher:
        place = workplace(folder / "faults", calls // 2, teacher.url)
        faultless_s = place.ask().asking_s
    place.clear()
    with serving(delay_s=delay_s, **_FAULTS) as teacher:
        place.serve_from(teacher.url)
        wall_s, runs = _to_the_end(place)
        seen = teacher.settled()
    spread_s = (
        sum(seen.faults.values()) * delay_s + seen.faults.get("busy", 0) * _FAULTS["retry_after_s"]
    ) / CONCURRENCY
    imposed_s = max(spread_s, seen.longest_chain_s)
    rows, keys = place.query("SELECT count(*), count(DISTINCT key) FROM replies")[0]
    ended = place.query(_ENDED)[0][0]
    report.line(f"\nfaults: {calls // 2} samples, {CONCURRENCY} in flight, {delay_s * 1000:.0f} ms; {seen.faults}")
    report.line(f"  {seen.calls} requests in {runs} runs, {seen.answered} answered whole; {rows} replies kept")
    report.line(f"  without faults {faultless_s:.1f} s; with them {wall_s:.1f} s")
    report.line(
        f"  imposed: the failed requests and Retry-After spread over {CONCURRENCY} calls {spread_s:.1f} s, "
        f"the longest chain of one call {seen.longest_chain_s:.1f} s; the larger counts"
    )
    report.claim("faults: samples without a reply or a reason", calls // 2 - ended, "samples", 0, "less")
    report.claim("faults: replies kept twice", rows - keys, "replies", 0, "less")
    report.claim("faults: whole answers asked for again", seen.repeated, "requests", 0, "less")
    report.claim("faults: time / (faultless + imposed)", wall_s / (faultless_s + imposed_s), "ratio", 1.6, "less")


def _to_the_end(place: Workplace) -> tuple[float, int]:
    """Seconds of asking, and the runs that it took: one that leaves calls unfinished says so with exit code 130."""
    asking_s = 0.0
    for runs in range(1, _RUNS + 1):
        ran = place.generate()
        asking_s += ran.document(130)["asking_s"]
        if ran.code == 0:
            return asking_s, runs
    raise RuntimeError(f"calls are unfinished after {_RUNS} runs")
