"""A mixture of real rows, compared with real benchmarks, from the folder that SAFETY_REASONING_DATA names."""

import json
import os
from pathlib import Path

import polars as pl
import pytest

from tests.mixtures import mixed, traces, write_mixture_recipe, write_release

FOLDER = Path(os.environ.get("SAFETY_REASONING_DATA", "/nowhere"))
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="SAFETY_REASONING_DATA names no folder"),
]
BENCHMARKS = f"""
[[benchmarks]]
name = "xstest"
path = "{FOLDER}/benchmarks/xstest_prompts.csv"
columns = ["prompt"]

[[benchmarks]]
name = "simple_safety_tests"
path = "{FOLDER}/benchmarks/simple_safety_tests.csv"
columns = ["prompts_final"]

[[benchmarks]]
name = "openai_moderation"
path = "{FOLDER}/benchmarks/openai_moderation_samples.jsonl"
columns = ["prompt"]
"""


def test_every_real_row_is_in_the_mixture_or_left_out_and_the_planted_ones_are_found(tmp_path: Path) -> None:
    rows = json.loads((FOLDER / "aegis-2.0/train.json").read_text(encoding="utf-8"))
    planted = pl.read_csv(FOLDER / "benchmarks/xstest_prompts.csv", infer_schema=False)["prompt"].head(50).to_list()
    rows += [rows[0] | {"id": f"planted-{n}", "prompt": text} for n, text in enumerate(planted)]
    write_release(tmp_path / "release", [row | traces("a", n) for n, row in enumerate(rows)])
    (tmp_path / "benchmarks.toml").write_text(BENCHMARKS, encoding="utf-8")
    recipe = write_mixture_recipe(tmp_path / "r.toml", decontaminate={"benchmarks": "benchmarks.toml"})
    stated, made = mixed(recipe)
    left_out = {item["reason"]: item["rows"] for item in stated["left_out"]}
    assert len(made) + sum(left_out.values()) == len(rows)
    assert left_out["contaminated_exact"] == 50
    judged = stated["decontamination"]
    assert [b["texts"] for b in judged["benchmarks"]][:2] == [450, 80]
    assert pl.read_parquet(tmp_path / "mixture/decontamination/too_short.parquet").height == judged["rows_too_short"]
    assert 0 < judged["rows_too_short"] < len(made)
