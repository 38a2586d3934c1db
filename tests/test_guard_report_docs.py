"""docs/guard-report.md, run: its commands and its Python, its options and the lists at its end."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import typer

from safety_reasoning.eval.report.contradictions import contradictions
from safety_reasoning.eval.report.markdown import table_lines
from safety_reasoning.eval.report.paper_tables import paper_cell
from safety_reasoning.eval.report.resources import access, needs
from safety_reasoning.eval.report.sections_paper import access_table, resource_table
from safety_reasoning.guard_report_verbs import app
from tests.conftest import ROOT, Run
from tests.guard_reports import SAFETY, reported, said
from tests.guard_runs import write_run
from tests.test_docs import blocks

DOCS = (ROOT / "docs" / "guard-report.md").read_text(encoding="utf-8")


def write_runs(folder: Path) -> None:
    """The three runs of the page."""
    write_run(folder / "full", said(SAFETY[:5], sentences=4, seed=1), paper_row="l31_wildguardmix_r_full")
    write_run(folder / "nr", said(SAFETY[:2], sentences=0, seed=2), paper_row="l31_wildguardmix_nr")
    write_run(folder / "mine", said(SAFETY[:2], sentences=1, seed=3), prompt_sha256="1" * 64)


@pytest.mark.timeout(240)
def test_the_commands_and_the_python_of_the_page_do_what_it_says(tmp_path: Path, run: Run) -> None:
    write_runs(tmp_path)
    (console,) = blocks("console", DOCS)
    printed = []
    for told in re.split(r"(?m)^\$ safety-reasoning ", console)[1:]:
        command, *shown = told.splitlines()
        done = run(*shlex.split(command), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
        if shown:
            assert done.stdout.splitlines() == shown
    document = json.loads(printed[-1])
    assert {row["a"] for row in document["tables"]["compared"]["rows"]} == {"nr"}
    (code,) = blocks("python", DOCS)
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ
    )
    assert ran.stdout.splitlines() == ["0.842", "Table 5: Prompt-only harmfulness F1 by benchmark"], ran.stderr


def test_every_option_of_the_verb_is_on_the_page() -> None:
    parameters = typer.main.get_command(app).params
    options = {name for one in parameters for name in one.opts if name.startswith("--") and "completion" not in name}
    assert options == set(re.findall(r"(?m)^\| `(--\w+)", DOCS))


def test_the_counts_of_contradictions_on_the_page_are_those_that_are_found() -> None:
    found = contradictions()
    counts = [int(number) for number in re.findall(r"(?m)^- (\d+) ", DOCS)]
    kinds = (found.twice, found.without_rule, found.other_rule, found.statements, found.words)
    assert counts == [len(kind) for kind in kinds]
    assert "(0.832 against 0.837)" in DOCS
    assert [str(paper_cell(1, row, "avg").value) for row in ("wildguard", "aegis2")] == ["0.832", "0.837"]


def test_how_many_cells_need_training_is_as_the_page_says() -> None:
    cells = {trained: sum(sum(one.cells.values()) for one in needs() if one.trained == trained) for trained in (0, 1)}
    said = " ".join(DOCS.split())
    assert f"{cells[0]} of the {sum(cells.values())} cells are of models whose weights are public" in said
    assert f"The other {cells[1]} need training" in said


def test_the_lists_at_the_end_of_the_page_are_those_that_are_computed(tmp_path: Path) -> None:
    """When they have changed: python -m tests.test_guard_report_docs."""
    assert DOCS.endswith(lists(tmp_path))


def lists(folder: Path) -> str:
    """What each model and benchmark takes, and the columns of every table in JSON."""
    lines = [*table_lines(resource_table(needs())), *table_lines(access_table(access()))]
    lines += ["", "## The tables in JSON", "", "| table | columns |", "|---|---|"]
    report = reported({"run": write_run(folder / "run", said(SAFETY[:1], sentences=1, seed=1))})
    for name, table in report.as_json()["tables"].items():
        columns = ", ".join(f"`{column['name']}`" for column in table["columns"])
        lines.append(f"| `{name}` | {columns} |")
    return "\n".join([*lines, ""])


def _mend() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ends = lists(Path(folder))
    (ROOT / "docs" / "guard-report.md").write_text(
        DOCS[: DOCS.index(ends.splitlines()[1])] + ends[1:], encoding="utf-8"
    )


if __name__ == "__main__":
    _mend()
