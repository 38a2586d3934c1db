"""The mixtures of the paper's experiments: every recipe in recipes/train, made of a small release."""

import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safety_reasoning.train.decontaminate_texts import load_benchmarks
from safety_reasoning.train.mixture import make_mixture
from safety_reasoning.train.mixture_recipe import MixtureRecipe, load_mixture_recipe
from tests.conftest import ROOT
from tests.mixtures import rows_of, safety, topic, traces, write_release

RECIPES = sorted((ROOT / "recipes/train").glob("*.toml"))
TABLE_4 = {f"table4_{size}_seed_{seed}" for size in (500, 1000, 2500, 5000) for seed in (1, 2, 3, 4)}
ONE_FOR_EACH = TABLE_4 | {
    "table1_wildguardmix_nr",
    "table1_wildguardmix_r_full",
    "table1_wildguardmix_r_5k",
    "table1_wildguardmix_r_500",
    "table1_wildguardmix_r_1_sentence",
    "table1_wildguardmix_dual",
    "table1_wildguardmix_r_continual",
    "table1_aegis_r_full",
    "table1_aegis_r_5k",
    "table1_aegis_r_1_sentence",
    "table8_wildguardmix_tf_r",
    "table8_wildguardmix_tf_r_1_sentence",
    "table8_aegis_tf_r",
    "table9_gemma_wildguardmix_nr",
    "table9_gemma_wildguardmix_r",
    "table9_gemma_wildguardmix_dual",
    "table9_gemma_wildguardmix_tf_r",
    "table9_gemma_wildguardmix_r_1_sentence",
}


def test_every_experiment_of_the_tables_has_a_recipe() -> None:
    assert {path.stem for path in RECIPES} == ONE_FOR_EACH


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_a_recipe_is_what_its_name_says(path: Path) -> None:
    recipe, name = load_mixture_recipe(path), path.stem
    assert recipe.out == str(ROOT / "build/train" / name / "mixture")
    assert recipe.mode == ("dual" if "dual" in name else "non_reasoning" if name.endswith("nr") else "reasoning")
    assert recipe.trace == ("efficient" if name.endswith("1_sentence") else "full")
    assert [part.task.value for part in recipe.parts] == [
        "content_safety",
        *(["topic_control"] if "_tf_" in name else []),
    ]
    assert ("Nemotron" in recipe.parts[0].release) == ("aegis" in name)
    assert (recipe.oversample is not None) == name.endswith("continual")
    if name in TABLE_4:
        _, size, _, seed = name.split("_")
        assert (recipe.parts[0].size, recipe.seed) == (int(size), int(seed))
    assert recipe.decontaminate is not None
    assert len(load_benchmarks(Path(recipe.decontaminate.benchmarks))) == 7


def small(recipe: MixtureRecipe, folder: Path) -> MixtureRecipe:
    """The recipe on a release of 24 and 8 rows: its releases, its sizes, its benchmarks and its place exchanged."""
    parts = [
        part.model_copy(update={"release": str(folder / "release"), "size": None if part.size is None else 10})
        for part in recipe.parts
    ]
    changes: dict[str, Any] = {
        "parts": tuple(parts),
        "out": str(folder / "mixture"),
        "sentences": None,
        "decontaminate": recipe.decontaminate
        and recipe.decontaminate.model_copy(update={"benchmarks": str(folder / "benchmarks.toml")}),
        "oversample": recipe.oversample and recipe.oversample.model_copy(update={"keys": str(folder / "keys.parquet")}),
    }
    return recipe.model_copy(update=changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recipes")
    teacher = "deepseek_r1_0528"
    turn = topic(0)
    turns = [
        topic(n)
        | {f"safety_reasoning_trace_{teacher}": turn["safety_reasoning_trace_a"]}
        | {f"efficient_reasoning_trace_{teacher}": turn["efficient_reasoning_trace_a"]}
        | {f"prediction_gt_mismatch_{teacher}": False}
        for n in range(8)
    ]
    write_release(made / "release", [safety(n) | traces(teacher, n) for n in range(24)], turns)
    (made / "rows.jsonl").write_text('{"prompt": "What is the height of that church tower over there?"}\n', "utf-8")
    (made / "benchmarks.toml").write_text(
        '[[benchmarks]]\nname = "b"\npath = "rows.jsonl"\ncolumns = ["prompt"]\n', encoding="utf-8"
    )
    return made


@pytest.mark.parametrize("path", [p for p in RECIPES if p.stem not in TABLE_4 or p.stem.endswith("500_seed_1")])
def test_a_recipe_makes_its_mixture(path: Path, folder: Path) -> None:
    recipe = small(load_mixture_recipe(path), folder)
    if recipe.oversample is not None:
        make_mixture(recipe.model_copy(update={"oversample": None}))
        pl.DataFrame({"key": [rows_of(recipe.out)[0]["key"]]}).write_parquet(folder / "keys.parquet")
    stated = make_mixture(recipe)
    wanted = sum((10 if part.size else 24) if part.task == "content_safety" else 8 for part in recipe.parts)
    assert stated["rows"] == wanted + (recipe.oversample is not None)


def test_the_headers_name_the_model_and_the_table() -> None:
    for path in RECIPES:
        text = path.read_text(encoding="utf-8")
        tomllib.loads(text)
        assert text.startswith("# Table")
        assert path.stem.endswith("continual") or ("Gemma-3-4B" in text) == path.stem.startswith("table9")
