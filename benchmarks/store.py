"""The store at a million replies: appending and looking up stay as fast as they began, and the file stays small.

Every reply has a text of its own of about 1.5 kB, pseudo-natural prose of a large vocabulary (engine/texts.py);
"the text" below is the UTF-8 bytes of reasoning and answer. Replies are appended as a run commits them, in groups
of 64; the time to make them up is not counted. After each group the same texts go to a plain file with one
write(): the physical limit, on the same disk at the same time.

    python benchmarks/store.py            # 1,000,000 replies, about five minutes and 3 GB in the temporary folder
    python benchmarks/store.py --quick    # 50,000

The last line of stdout is one JSON document.
"""

import argparse
import hashlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import zstandard
from engine.measure import Report
from engine.texts import Writer

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.builders.store import Store, open_store

_GROUP = 64
_PARTS = 10
_FLAT_FROM = 100_000
"""Replies in a part: the first few thousand find the index of keys nearly empty, which says nothing of a long run."""
_WORDS = 250
_LOOK_UPS = 20_000

_Of = TypeVar("_Of")


def main() -> None:
    """Run, print a table, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="50,000 replies")
    replies = 50_000 if parser.parse_args().quick else 1_000_000
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "store.sqlite")
        text_bytes = _fill(report, path, replies)
        _opening(report, path, replies)
        size = path.stat().st_size
    report.line(
        f"\nsize: {size / 1e6:.0f} MB for {text_bytes / 1e6:.0f} MB of text, {size / replies:.0f} bytes a reply"
    )
    report.line(f"  zstd level 3 alone takes one of the texts to {_packed():.2f} of its size")
    report.claim("store: size on disk / the text", size / text_bytes, "ratio", 1.3, "less")
    report.end()


def _fill(report: Report, path: Path, replies: int) -> int:
    """Append everything, part by part, and look up in the first part and in the whole; the bytes of the text."""
    writer, text_bytes = Writer(seed=7), 0
    rates: list[float] = []
    look_ups: list[tuple[float, float]] = []
    part = replies // _PARTS
    report.line(f"{replies} replies in groups of {_GROUP}, from one process")
    report.line(f"  {'':>9} {'store,':>12} {'store,':>12} {'plain file,':>12} {'get,':>8} {'in,':>8}")
    report.line(f"  {'replies':>9} {'rows/s':>12} {'rows/CPU s':>12} {'rows/s':>12} {'µs':>8} {'µs':>8}")
    with open_store(path) as store, path.with_name("plain").open("ab", buffering=0) as plain:
        for start in range(0, replies, part):
            store_s = plain_s = cpu_s = 0.0
            for group in _groups(writer, start, start + part):
                lines = "".join(f"{r.key}{r.reasoning}{r.answer}\n" for r in group).encode()
                text_bytes += len(lines) - 33 * len(group)
                cpu_s -= time.process_time()
                store_s += _seconds(store.append, group)
                cpu_s += time.process_time()
                plain_s += _seconds(plain.write, lines)
            rates.append(part / cpu_s)
            shown = f"  {start + part:9} {part / store_s:12.0f} {rates[-1]:12.0f} {part / plain_s:12.0f}"
            if start in {0, replies - part}:
                look_ups.append(_look_up(store, start + part))
                shown += f" {look_ups[-1][0]:8.1f} {look_ups[-1][1]:8.1f}"
            report.line(shown)
            report.measure(f"rows/s, plain file, at {start + part}", part / plain_s)
            report.measure(f"rows/s, store, at {start + part}", part / store_s)
            report.measure(f"rows/CPU s, store, at {start + part}", rates[-1])
    if part >= _FLAT_FROM:
        # By processor time: the plain file beside it shows how much slower the disk becomes meanwhile.
        name = f"store: appended for a second of processor time, last {part} / first {part}"
        report.claim(name, rates[-1] / rates[0], "ratio", 0.8, "more")
    for name, few, many in zip(("get", "in"), *look_ups, strict=True):
        report.measure(f"µs, {name}, at {part}", few)
        report.measure(f"µs, {name}, at {replies}", many)
        report.claim(f"store: {name}, µs at {replies} / at {part}", many / few, "ratio", 1.5, "less")
    return text_bytes


def _groups(writer: Writer, start: int, end: int) -> Iterator[list[Reply]]:
    replies = (_reply(writer, number) for number in range(start, end))
    while group := list(islice(replies, _GROUP)):
        yield group


def _reply(writer: Writer, number: int) -> Reply:
    return Reply(
        key=_key(number),
        sample_key=_key(number // 2),
        teacher="scripted",
        step=Step.FULL,
        status=Status.OK,
        reasoning=writer.text(_WORDS),
        answer="Prompt harm: harmful\n\nResponse harm: unharmful",
        finish_reason="stop",
        model="scripted",
        prompt_tokens=700,
        completion_tokens=400,
        latency_s=12.3456,
    )


def _key(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest()


def _look_up(store: Store, replies: int) -> tuple[float, float]:
    """Median µs to read a reply, and to find out that it is there, over random keys that were read once before.

    The first reading brings the pages into memory, unless the system had kept them: that would measure the disk.
    """
    draw = random.Random(replies)  # noqa: S311  # not for secrets
    keys = [_key(draw.randrange(replies)) for _ in range(_LOOK_UPS)]
    for key in keys:
        store.get(key)
    get = [_seconds(store.get, key) for key in keys]
    found = [_seconds(store.__contains__, key) for key in keys]
    return statistics.median(get) * 1e6, statistics.median(found) * 1e6


def _opening(report: Report, path: Path, replies: int) -> None:
    """The time until the first reply is read: with the file in memory, and after the system has let go of it."""
    for where in ("in memory", "not in memory"):
        if where == "not in memory":
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.perf_counter()
        with open_store(path) as store:
            found = store.get(_key(replies // 3))
            seconds = time.perf_counter() - started
        if found is None:
            raise RuntimeError("a reply that was appended is not there")
        report.claim(f"store: opened and one reply read, {replies}, file {where}", seconds, "s", 0.1, "less")


def _packed() -> float:
    """How far zstd alone takes a text."""
    text = Writer(seed=1).text(_WORDS).encode()
    return len(zstandard.ZstdCompressor(level=3).compress(text)) / len(text)


def _seconds(action: Callable[[_Of], object], of: _Of) -> float:
    started = time.perf_counter()
    action(of)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
