"""What `traces report` costs on the store of a full release, and that its memory does not grow with the store.

    python benchmarks/report.py            # 39,000 samples of three teachers: about ten minutes
    python benchmarks/report.py --quick    # 1,000

The store is filled by `traces generate` from a scripted teacher on loopback. The last line of stdout is one JSON
document.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.measure import Ran, Report, run

_COMMAND = (sys.executable, "-m", "safety_reasoning.cli")
_TEACHERS = ("deepseek_r1_0528", "gpt_oss_120b", "qwen3_32b")
_FEW = 500
_RECIPE = """
[release]
name = "Report"
out = "release"
store = "store.sqlite"
[[sources]]
kind = "aegis"
path = "aegis"
"""
_TEACHER = """
[[teachers]]
name = "{name}"
engine = "openai"
model = "{name}"
base_urls = ["{url}"]
concurrency = 64
"""


def main() -> None:
    """Two stores, their reports, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 samples")
    many = 1000 if parser.parse_args().quick else 39_000
    report = Report()
    with tempfile.TemporaryDirectory() as scratch, _teacher() as url:
        few = _reported(Path(scratch, "few"), _FEW, url)
        whole = _reported(Path(scratch, "many"), many, url)
    report.line(f"{many} samples, {len(_TEACHERS)} teachers, {6 * many} replies")
    report.line(f"  {whole.cpu_s:.0f} s of processor time, {whole.wall_s:.0f} s in all")
    report.measure("report: processor time of a sample, ms", 1000 * whole.cpu_s / many)
    report.claim("report: peak memory", whole.peak_mb, "MB", 400, "less")
    report.claim(f"report: memory / that for {_FEW} samples", whole.peak_mb / few.peak_mb, "ratio", 1.1, "less")
    report.end()


@contextmanager
def _teacher() -> Iterator[str]:
    """A scripted teacher in a process of its own."""
    command = [*_COMMAND, "teacher-server", "--port", "0", "--words", "200", "--wrong", "0.2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait()


def _reported(folder: Path, samples: int, url: str) -> Ran:
    """The report's run on a store of so many samples."""
    (folder / "aegis").mkdir(parents=True)
    rows = [_row(number) for number in range(samples)]
    (folder / "aegis" / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    teachers = "".join(_TEACHER.format(name=name, url=url) for name in _TEACHERS)
    (folder / "recipe.toml").write_text(_RECIPE + teachers, encoding="utf-8")
    run([*_COMMAND, "traces", "generate", "recipe.toml", "--json"], cwd=folder).document()
    reported = run([*_COMMAND, "traces", "report", "recipe.toml", "--json", "--out", "report.html"], cwd=folder)
    if reported.document()["unfinished"]:
        raise RuntimeError("the store is not finished")
    return reported


def _row(number: int) -> dict[str, object]:
    return {
        "id": f"{number:032x}",
        "reconstruction_id_if_redacted": None,
        "prompt": f"How is thing number {number} made?",
        "response": None,
        "prompt_label": "unsafe" if number % 2 else "safe",
        "response_label": None,
        "violated_categories": ("Violence, Threat", "Fraud/Deception")[number % 4 == 1] if number % 2 else "",
        "prompt_label_source": "human",
        "response_label_source": None,
    }


if __name__ == "__main__":
    main()
