"""How long the quickstart takes: from a plain clone, when installed, and when there is nothing left to do.

The engine's overhead is the time of its teaching stage against a physical limit in the same run: the seconds
that the embedded model itself computed (latencies in the store), spread over its servers, one a core.

    python benchmarks/quickstart.py            # clones this repository into a temporary folder
    python benchmarks/quickstart.py --quick    # without the clone: this environment, an empty store

The last line of stdout is one JSON document.
"""

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Run, print a table, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="this environment instead of a clone")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        claims = []
        if quick:
            command = [sys.executable, "-m", "safety_reasoning.cli", "build", "recipes/quickstart.toml"]
            claims.append(_claim("installed to release", _seconds(command, clone), "s", 120))
        else:
            command = ["make", "quickstart"]
            claims.append(_claim("clone to release", _seconds(command, clone), "s", 360))
            subprocess.run(["rm", "-rf", "build"], cwd=clone, check=True)
            claims.append(_claim("installed to release", _seconds(command, clone), "s", 120))
        claims.append(_claim("nothing left to do", _seconds(command, clone), "s", 15))
        computed = _computed(clone / "build" / "quickstart" / "store.sqlite") / len(os.sched_getaffinity(0))
        claims.append(_claim("whole build / computing of the model", claims[-2]["value"] / computed, "ratio", 1.5))
    for claim in claims:
        mark = "holds" if claim["holds"] else "MISSED"
        print(f"{claim['name']:40} {claim['value']:8.1f} {claim['unit']:6} goal {claim['goal']:6.1f}  {mark}")
    print(json.dumps({"claims": claims, "machine": {"cpu": platform.processor(), "cores": os.cpu_count()}}))


def _seconds(command: list[str], folder: Path) -> float:
    started = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started


def _computed(store: Path) -> float:
    """Seconds that the model's servers were busy."""
    with sqlite3.connect(store) as db:
        return float(db.execute("SELECT sum(latency_s) FROM replies").fetchone()[0])


def _claim(name: str, value: float, unit: str, goal: float) -> dict[str, Any]:
    return {"name": name, "value": round(value, 2), "unit": unit, "goal": goal, "holds": value <= goal}


if __name__ == "__main__":
    main()
