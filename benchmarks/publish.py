"""What a second push uploads when 1 % of the rows changed, as a share of the first.

A release of generated rows is built, pushed by the command to a Hub on loopback (tests/hub_server), changed, built
and pushed again: once through LFS, which sends whole files, and once through Xet, where the client itself (`hf_xet`)
cuts files into chunks and sends those that are new. Rows change where they are: evenly spread over the release, or
in one stretch of it. Bytes are those that arrived: LFS uploads and commits, or chunks and shards kept by the store.
A chunk has 64 KiB on average, and a page of Parquet is compressed as a whole: where the rows between two changed ones
take less than that, nearly every chunk is new, whatever the layout.

    python benchmarks/publish.py            # 20,000 records, about 40 MB; several minutes
    python benchmarks/publish.py --quick    # 2,000, too few for large-file storage: it shows that it runs

The last line of stdout is one JSON document.
"""

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from engine.measure import Report
from engine.texts import Writer

ROOT = Path(__file__).parent.parent
Spread = Literal["evenly", "in one stretch"]
GOAL_PERCENT = 5.0
_CHANGED = 0.01
_RECIPE = """
[release]
name = "Generated"
version = "{version}"
out = "release"
store = "store.sqlite"
keep = "any"
[[sources]]
kind = "published"
path = "source"
[filters]
off = ["wrong_language", "truncated", "near_duplicate", "contradicts_verdict"]
"""
"""Generated prose is in no language and concludes nothing."""
_FILE = "aegis_v2_efficient_reasoning.jsonl"

Row = dict[str, Any]


def main() -> None:
    """Build, push, change, push; a table, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 records, too few for the claims")
    records = 2_000 if parser.parse_args().quick else 20_000
    report = Report()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first = build(folder / "first", rows(records), "0.1.0")
        size = sum(path.stat().st_size for path in first.rglob("*") if path.is_file())
        report.line(f"{records} records, {size / 1e6:.1f} MB of files; {_CHANGED:.0%} of the rows get another trace")
        for spread in ("evenly", "in one stretch"):
            changed = build(folder / spread, change(released(first), spread), "0.1.1")
            for through in ("lfs", "xet"):
                measure(report, folder / f"{spread} {through}", (first, changed), spread, through)
    report.end()


def rows(records: int) -> list[Row]:
    """Rows of the published data set's columns, with text of its lengths."""
    writer = Writer(seed=1)
    return [
        {
            "id": f"{number:032x}",
            "reconstruction_id_if_redacted": None,
            "prompt": writer.text(40),
            "response": writer.text(60),
            "prompt_label": "safe",
            "response_label": "safe",
            "violated_categories": "",
            "prompt_label_source": "human",
            "response_label_source": "llm_jury",
            "safety_reasoning_a": writer.text(200),
            "efficient_safety_reasoning_trace_a": writer.text(20),
            "prediction_gt_mismatch_a": False,
        }
        for number in range(records)
    ]


def released(release: Path) -> list[Row]:
    """The rows of a release in its order."""
    return [json.loads(line) for line in (release / _FILE).read_text(encoding="utf-8").splitlines()]


def change(records: list[Row], spread: str) -> list[Row]:
    """The same rows, with other traces in 1 % of them."""
    count, writer = round(len(records) * _CHANGED), Writer(seed=2)
    if spread == "evenly":
        chosen = set(random.Random(3).sample(range(len(records)), count))  # noqa: S311 - not for secrets
    else:
        chosen = set(range(len(records) // 2, len(records) // 2 + count))
    return [
        row
        | (
            {"safety_reasoning_a": writer.text(200), "efficient_safety_reasoning_trace_a": writer.text(20)}
            if number in chosen
            else {}
        )
        for number, row in enumerate(records)
    ]


def build(folder: Path, of: list[Row], version: str) -> Path:
    """The release of these rows, built by the command."""
    (folder / "source").mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in of)
    (folder / "source" / _FILE).write_text(lines, encoding="utf-8")
    (folder / "recipe.toml").write_text(_RECIPE.format(version=version), encoding="utf-8")
    command("build", folder / "recipe.toml", env={"HF_HOME": str(folder / "hf")})
    return folder / "release"


def measure(report: Report, folder: Path, releases: tuple[Path, Path], spread: str, through: str) -> None:
    """Push both releases to a Hub of their own and compare what arrived."""
    with hub_of(folder, through) as (hub, env):
        sent, before = [], 0
        for release in releases:
            hub.plan()
            command("push", release, "o/n", "--create", "--yes", env=env)
            kept = hub.xet.stored_bytes() if hub.xet else 0
            sent.append(hub.uploaded_bytes() + kept - before)
            before = kept
    first, second = sent
    report.line(f"\n{spread}, through {through}: {first / 1e6:.2f} MB, then {second / 1e6:.2f} MB")
    report.measure(f"publish: bytes of the first push, {through}", first)
    report.measure(f"publish: bytes of the second push, {spread}, {through}", second)
    name = f"publish: second push / first, 1 % of rows changed {spread}"
    if through == "xet":
        report.claim(name, 100 * second / first, "%", GOAL_PERCENT, "less")
    else:
        report.line(f"  {100 * second / first:.1f} %: LFS sends whole files, and every file changed")


@contextmanager
def hub_of(folder: Path, through: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """A Hub on loopback, and the environment of its clients."""
    sys.path.insert(0, str(ROOT))  # the Hub is kept with the tests
    server, client = (importlib.import_module(f"tests.hub_server.{name}") for name in ("server", "client"))
    folder.mkdir()
    xet = folder / "xet" if through == "xet" else None
    with server.HubServer(xet=xet) as hub:
        yield hub, client.online(hub, folder / "hf", xet=xet is not None)


def command(*arguments: str | Path, env: dict[str, str]) -> None:
    """Run `safety-reasoning`."""
    ran = subprocess.run(
        [sys.executable, "-m", "safety_reasoning.cli", *map(str, arguments)],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {ran.returncode}: {ran.stderr[-2000:]}")


if __name__ == "__main__":
    main()
