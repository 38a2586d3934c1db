"""A finished store run again, and the memory of a long run."""

from pathlib import Path

from .measure import Report
from .ours import workplace
from .teacher import serving

_WORDS = 20


def rerun(report: Report, folder: Path, *, calls: int) -> None:
    """Fill a store by asking for everything, then run the same command again."""
    with serving(words=_WORDS) as teacher:
        place = workplace(folder / "rerun", calls // 2, teacher.url)
        first = place.ask()
        teacher.reset()
        again = place.ask()
        requests = teacher.stats().calls
    rate = first.replies / first.asking_s
    report.line(f"\nrerun: {first.replies} replies in {first.asking_s:.0f} s ({rate:.0f}/s), then the same command")
    took = f"{again.ran.wall_s:.1f} s, of these {again.ran.cpu_s:.1f} s of processor time"
    report.line(f"  first {first.ran.peak_mb:.0f} MB; again {took}, {again.ran.peak_mb:.0f} MB")
    report.measure("rerun: peak MB", again.ran.peak_mb)
    report.claim("rerun: requests", requests + again.replies, "requests", 0, "less")
    report.claim(f"rerun: finished store of {first.replies} replies", again.ran.wall_s, "s", 15, "less")


def memory(report: Report, folder: Path, *, few: int, many: int) -> None:
    """The peak of a run over many samples against that over few."""
    report.line(f"\nmemory: {few} and {many} samples")
    peaks = []
    for samples in (few, many):
        with serving(words=_WORDS) as teacher:
            asked = workplace(folder / f"memory-{samples}", samples, teacher.url).ask()
        report.line(f"  {samples:8} samples: {asked.ran.peak_mb:6.0f} MB, {asked.replies / asked.asking_s:.0f} calls/s")
        report.measure(f"memory: peak MB, {samples} samples", asked.ran.peak_mb)
        peaks.append(asked.ran.peak_mb)
    report.claim(f"memory: peak with {many} samples / {few}", peaks[1] / peaks[0], "ratio", 1.2, "less")
