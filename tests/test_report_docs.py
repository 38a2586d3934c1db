"""docs/quality.md, run: its recipe, its commands and its Python, and the tables that it lists."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.review.report import Report
from tests.conftest import ROOT, Run
from tests.reports import Made, made, reported
from tests.reviews import review_recipe
from tests.stores import Start
from tests.test_docs import blocks, masked
from tests.test_report_marks import marked

__all__ = ["made"]  # the fixture

DOCS = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")


def written(folder: Path, url: str) -> Path:
    """The recipe of the page, all of its parts one after another."""
    text = "\n".join(blocks("toml", DOCS)).replace("http://127.0.0.1:8000/v1", url)
    (folder / "sample").symlink_to(ROOT / "sample")
    (folder / "quality.toml").write_text(text, encoding="utf-8")
    return folder / "quality.toml"


@pytest.mark.timeout(240)
def test_the_commands_and_the_python_of_the_page_do_what_it_says(tmp_path: Path, run: Run, teacher: Start) -> None:
    (options,) = re.findall(r"teacher-server --port 8000 --wrong (\S+) --found (\S+) &", DOCS)
    written(tmp_path, teacher(wrong=float(options[0]), found=float(options[1])).url)
    for block in blocks("console", DOCS):
        for said in re.split(r"(?m)^\$ safety-reasoning ", block)[1:]:
            command, *shown = said.splitlines()
            done = run(*shlex.split(command), cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            printed = [masked(line) for line in (done.stderr + done.stdout).splitlines()]
            assert {masked(line) for line in shown} <= set(printed)
    document = json.dumps(reported(tmp_path / "quality.toml").as_json())  # as --json prints it
    (tmp_path / "quality.json").write_text(document, encoding="utf-8")
    (code,) = blocks("python", DOCS)
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ
    )
    assert "judge_label_leak" in ran.stdout, ran.stderr


def test_the_recipe_of_the_page_sets_what_the_page_speaks_of(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, "http://127.0.0.1:9/v1"))
    assert recipe.filters.off == ("overthinking",)
    assert recipe.filters.max_words_efficient == 30
    assert recipe.regenerate.attempts == 3
    assert recipe.judge is not None
    assert (recipe.judge.ask, recipe.judge.again) == ("all", 2)


def test_every_table_of_a_report_is_on_the_page_with_its_columns(made: Made, tmp_path: Path) -> None:
    listed = {
        name: re.findall(r"`(\w+)`", columns)
        for name, columns in re.findall(r"(?m)^\| `(\w+)` \| (`\w+`, .+) \|$", DOCS)
    }
    there = columns_of(made[1]) | columns_of(marked(review_recipe(tmp_path, judge=True), a={0}, b={1}))
    assert listed == there


def columns_of(report: Report) -> dict[str, list[str]]:
    """The names of the columns by table; of the attempts' columns, the first stands for all."""
    return {
        name: [c["name"] for c in table["columns"] if not re.fullmatch(r"attempt_[1-9]", c["name"])]
        for name, table in report.as_json()["tables"].items()
    }


def test_the_fields_on_the_page_are_those_of_the_document(made: Made) -> None:
    fields = re.search(r"(?ms)^\| field \| what it holds \|\n\|---\|---\|\n(.*?)\n\n", DOCS)
    assert fields is not None
    named = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in fields[1].splitlines()))
    assert set(named) == set(made[1].as_json())
