"""Runs of made-up answers, and reports of them.

As a script it makes the picture of a report, of the runs given or, without any, of made-up ones:

    python -m tests.guard_reports docs/guard-report.png RUN…
"""

import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.eval.report.compose import make_report
from safety_reasoning.eval.report.report import Report
from safety_reasoning.eval.runs.folder import Run, read_run
from safety_reasoning.eval.scores.averages import tasks_of
from tests.guard_runs import answers, write_run

SAFETY, CUSTOM = tasks_of("safety9"), tasks_of("custom_mean2")
DRAWS = 20
Made = tuple[dict[str, Path], Report]


def trace(sentences: int) -> str | None:
    """A trace of so many sentences, each of seven words; None for none."""
    return " ".join(f"It asks about the matter of {number}." for number in range(sentences)) or None


def said(tasks: tuple[str, ...], *, sentences: int, seed: int, right: float = 0.85, **changes: Any) -> list[Any]:
    """Answers to every task, with traces of so many sentences; the items are all of one part."""
    same: dict[str, Any] = {"items": 12, "probabilities": False, "category": None, "domain": None, "chars": 40}
    same |= {"reasoning": trace(sentences), "trace_tokens": 7 * sentences} | changes
    return [one for task in tasks for one in answers(task, seed=seed, right=right, **same)]


def read(folders: Mapping[str, Path]) -> list[Run]:
    return [read_run(path) for path in folders.values()]


def reported(folders: Mapping[str, Path], **settings: Any) -> Report:
    return make_report(read(folders), draws=DRAWS, **settings)


def runs(folder: Path) -> dict[str, Path]:
    """A reasoning model of the paper on all tasks, its non-reasoning one on four, and another guard on three."""
    return {
        "full": write_run(
            folder / "full",
            said(SAFETY + CUSTOM, sentences=4, seed=1, latency_s=0.5),
            paper_row="l31_wildguardmix_r_full",
        ),
        "nr": write_run(
            folder / "nr",
            said(SAFETY[:4], sentences=0, seed=2, right=0.7, latency_s=0.2, probabilities=True),
            name="L3.1-8B-WILDGUARDMIX (NR)",
        ),
        "mine": write_run(folder / "mine", said(SAFETY[:3], sentences=2, seed=3)),
    }


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The folders of the three runs, and their report."""
    return _made(tmp_path_factory.getbasetemp())


@cache
def _made(folder: Path) -> Made:
    """Once for all tests of a process."""
    folders = runs(folder / "guard-report")
    return folders, reported(folders)


def rows(report: Report, name: str, **wanted: object) -> list[dict[str, Any]]:
    """The rows of a table, as JSON has them, in which these columns have these values."""
    found: list[dict[str, Any]] = report.table(name).as_json()["rows"]
    return [row for row in found if all(row[column] == value for column, value in wanted.items())]


def cell(report: Report, number: int, row: str, column: str) -> dict[str, Any]:
    """A cell of a regenerated table, as JSON has it."""
    document = report.grid(number).as_json()
    (found,) = (one for one in document["rows"] if one["name"] == row)
    answer: dict[str, Any] = found["cells"][column]
    return answer


def picture(out: Path, folders: Mapping[str, Path]) -> None:
    """The first of the paper's tables again; of runs that are none of the paper's, their scores."""
    from PIL import Image

    from safety_reasoning.eval.report.page import report_page
    from tests.browser import chromium

    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder) / "report.html"
        report = make_report(read(folders))
        path.write_text(report_page(report), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1180, "height": 900})
        page.goto(path.as_uri())
        part = "#tables" if report.grid(1).regenerated else "#scores"
        page.evaluate("which => document.querySelector(which).scrollIntoView()", part)
        page.screenshot(path=out)
    with Image.open(out) as whole:  # 256 colours are enough for text, and half the bytes
        whole.quantize(256).save(out, optimize=True)


def _main(out: Path, given: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        picture(out, {path.name: path for path in given} or runs(Path(folder)))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
