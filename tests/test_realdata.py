"""Real rows in the upstream file formats, from the folder that SAFETY_REASONING_DATA names."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from safety_reasoning.builders.recipe import SourceRecipe
from safety_reasoning.builders.sources.canttalk import FILES
from safety_reasoning.builders.sources.load import load_sources
from tests.conftest import LiveTeacher, Run, openai_teacher, write_recipe

FOLDER = os.environ.get("SAFETY_REASONING_DATA", "")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not FOLDER, reason="SAFETY_REASONING_DATA names no folder"),
]
AEGIS, DIALOGUES = Path(FOLDER) / "aegis-2.0", Path(FOLDER) / "canttalkaboutthis"


def test_every_aegis_row_is_a_sample_or_left_out_with_a_reason() -> None:
    loaded = load_sources((SourceRecipe(kind="aegis", path=str(AEGIS)),))
    assert [f.rows for f in loaded.files] == [len(json.loads((AEGIS / "train.json").read_text(encoding="utf-8")))]
    assert len(loaded.samples) + len(loaded.left_out) == loaded.files[0].rows
    assert loaded.samples
    assert all(item.reason and item.record for item in loaded.left_out)


def test_every_user_turn_is_a_sample_or_left_out_with_a_reason() -> None:
    loaded = load_sources((SourceRecipe(kind="canttalkaboutthis", path=str(DIALOGUES)),))
    dialogues = [json.loads(line) for line in (DIALOGUES / FILES["train"][0]).read_text(encoding="utf-8").splitlines()]
    ordinary = sum(turn["role"] == "user" for d in dialogues for turn in d["conversation"])
    distractors = sum(len(d["distractors"]) for d in dialogues)
    assert len(loaded.samples) + len(loaded.left_out) == ordinary + distractors
    assert {s.key for s in loaded.samples} and len({s.key for s in loaded.samples}) == len(loaded.samples)


def test_a_build_over_all_real_rows_validates_and_loads(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]
) -> None:
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[{"kind": "aegis", "path": AEGIS}, {"kind": "canttalkaboutthis", "path": DIALOGUES}],
        teachers=[openai_teacher("a", teacher(wrong=0.1).url), openai_teacher("b", teacher(wrong=0.3).url)],
        keep="all",
    )
    done = run("build", recipe, "--json", timeout=500)
    assert done.returncode == 0, done.stderr  # the release was validated and loaded back
    manifest = json.loads(done.stdout)["manifest"]
    released = sum(config["records"] for config in manifest["configs"].values())
    left_out = sum(pl.read_parquet(p).height for p in (tmp_path / "release" / "left_out").glob("*.parquet"))
    assert left_out == sum(item["rows"] for item in manifest["left_out"])
    source = load_sources(
        (
            SourceRecipe(kind="aegis", path=str(AEGIS)),
            SourceRecipe(kind="canttalkaboutthis", path=str(DIALOGUES)),
        )
    )
    assert released + left_out == len(source.samples) + len(source.left_out)
    assert run("validate", tmp_path / "release").returncode == 0
