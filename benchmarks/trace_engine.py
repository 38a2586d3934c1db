"""The trace engine: what it costs, what it survives, and how it compares with other pipelines.

Everything runs against the scripted teacher, a process of its own, in one run on one machine; our engine is run
as its users run it, the command `safety-reasoning traces generate`.

    python benchmarks/trace_engine.py                        # about half an hour, and the peers' environments
    python benchmarks/trace_engine.py --quick                # under a minute: small sizes, no peers
    python benchmarks/trace_engine.py --only kills rerun     # some of it

The last line of stdout is one JSON document.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine.faults import faults
from engine.kills import kills
from engine.measure import Report
from engine.overhead import overhead
from engine.peers import peers
from engine.scale import memory, rerun

Part = Callable[[Report, Path], None]


def main() -> None:
    """Run the parts, each in a folder of its own; tables, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, no peers")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="overhead, peers, faults, kills, rerun, memory")
    parser.add_argument("--environments", type=Path, help="where the peers' environments are kept between runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        environments = given.environments or Path(scratch, "environments")
        parts = _quick() if given.quick else _whole(environments.resolve())
        unknown = set(given.only or ()) - set(parts)
        if unknown:
            parser.error(f"--only: no part is named {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
        report = Report()
        for name, part in parts.items():
            if not given.only or name in given.only:
                folder = Path(scratch, name)
                folder.mkdir()
                part(report, folder)
    report.end()


def _quick() -> dict[str, Part]:
    return {
        "overhead": partial(overhead, calls=1_000, rounds=1),
        "faults": partial(faults, calls=600, delay_s=0.05),
        "kills": partial(kills, calls=3_000, times=3),
        "rerun": partial(rerun, calls=2_000),
    }


def _whole(environments: Path) -> dict[str, Part]:
    return {
        "overhead": partial(overhead, calls=5_000, rounds=5),
        "peers": partial(peers, calls=5_000, environments=environments),
        "faults": partial(faults, calls=5_000),
        "kills": partial(kills, calls=20_000, times=20),
        "rerun": partial(rerun, calls=230_000),
        "memory": partial(memory, few=10_000, many=200_000),
    }


if __name__ == "__main__":
    main()
