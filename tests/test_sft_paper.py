"""Every training recipe of the project trains two steps on one command, on a tiny model and a small release."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.train.mixture_recipe import load_mixture_recipe
from tests.conftest import (
    ROOT,
    aegis_row,
    build_here,
    dialogue,
    openai_teacher,
    serving,
    write_aegis,
    write_dialogues,
    write_recipe,
)
from tests.mixtures import mixed, rows_of
from tests.tiny_model import SUFFIX, dual_rows, mixture_row, write_mixture, write_tiny_model

pytest.importorskip("trl")

from safety_reasoning.train.sft_recipe import load_sft_recipe
from safety_reasoning.train.training_quiet import quiet
from safety_reasoning.train_verbs import app

quiet()
FOLDER = ROOT / "recipes" / "train"
PAPER = sorted(FOLDER.glob("*.toml"))
DEMO = sorted((FOLDER / "demo").glob("*.toml"))
RELEASE = "../../build/wildguardmix/release"
EXCHANGED = (
    (r"hf://datasets/nvidia/[^\"]+", RELEASE),
    (r"(?m)^size = \d+", "size = 4"),
    (r'(?m)^precision = "bf16"$', ""),  # the precision of a process is set once
    (r"(?m)^train_layers = \d+$", "train_layers = 1"),
    (r"(?m)^device_batch_size = \d+$", ""),
    (r"(?m)^\[sft\]$", "[sft]\ndevice_batch_size = 16"),  # a batch is the same in two pieces as in 32
)
"""What of a recipe is not tried: releases of the Hub, their sizes, what a tiny model has not."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipes, and what they name beside them: a release, benchmarks, the first stage's findings."""
    root = tmp_path_factory.mktemp("paper")
    recipes = root / "recipes" / "train"
    shutil.copytree(FOLDER, recipes)
    for path in recipes.rglob("*.toml"):
        text = path.read_text(encoding="utf-8")
        for old, new in EXCHANGED:
            text = re.sub(old, new, text)
        path.write_text(text, encoding="utf-8")
    (recipes / "rows.jsonl").write_text('{"prompt": "What is the height of that church tower over there?"}\n', "utf-8")
    (recipes / "held_out" / "benchmarks.toml").write_text(
        '[[benchmarks]]\nname = "b"\npath = "../rows.jsonl"\ncolumns = ["prompt"]\n', encoding="utf-8"
    )
    _write_release(root / "build" / "wildguardmix")
    _write_difficult(recipes)
    texts = [load_prompt(name).body for name in ("classify_safety", "taxonomy_aegis", "classify_topic")]
    for kind in ("llama", "gemma3"):
        write_tiny_model(root / kind, kind=kind, texts=texts)
    demo = root / "build" / "demo"
    write_mixture(demo / "mixture_non_reasoning", [mixture_row(number) for number in range(32)])
    write_mixture(demo / "mixture_dual", dual_rows(32), SUFFIX)
    return root


def _write_release(folder: Path) -> None:
    """A release of both tasks with traces of one sentence too, by a scripted teacher."""
    rows = [
        aegis_row(id=f"{n:032x}", prompt=f"Question {n}: what colour has the sky over a small town in the morning?")
        for n in range(6)
    ]
    with serving() as teacher:
        recipe = write_recipe(
            folder / "recipe.toml",
            sources=[
                {"kind": "aegis", "path": write_aegis(folder / "aegis", rows)},
                {"kind": "canttalkaboutthis", "path": write_dialogues(folder / "topics", [dialogue()])},
            ],
            teachers=[openai_teacher("deepseek_r1_0528", teacher.url)],
            sentences=1,
        )
        build_here(recipe)


def _write_difficult(recipes: Path) -> None:
    """What `train mine` finds after the first stage: one row of it."""
    _, rows = mixed(recipes / "table1_wildguardmix_r_full.toml")
    keys = Path(load_mixture_recipe(recipes / "table1_wildguardmix_r_continual.toml").oversample.keys)  # type: ignore[union-attr]
    keys.parent.mkdir(parents=True)
    pl.DataFrame({"key": [rows[0]["key"]]}).write_parquet(keys)


@pytest.mark.parametrize("path", [*PAPER, *DEMO], ids=lambda path: path.stem)
def test_a_recipe_trains_two_steps_on_one_command(path: Path, place: Path) -> None:
    recipe = place / "recipes" / "train" / path.relative_to(FOLDER)
    loaded = load_sft_recipe(recipe)
    model = place / ("gemma3" if "gemma" in loaded.model.base else "llama")
    command = ["sft", str(recipe), "--model", str(model), "--max-steps", "2", "--json"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    said = json.loads(done.stdout)
    assert (done.exit_code, said["steps"], said["before"]) == (0, 2, False)
    stated = json.loads((Path(said["guard"]) / "training.json").read_text(encoding="utf-8"))
    assert stated["lengths"]["rows"] == len(rows_of(str(loaded.sft.mixture)))
    assert stated["mixture"]["mode"] == _mode(path)
    assert (Path(said["guard"]) / "model.safetensors").is_file()


def _mode(path: Path) -> str:
    parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    return str(parsed.get("mixture", {}).get("mode", path.stem))


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_recipe_of_the_paper_has_its_model_and_its_hyper_parameters(path: Path) -> None:
    recipe = load_sft_recipe(path)
    sft = recipe.sft
    epochs = 50 if path.stem == "table1_wildguardmix_r_500" else 5  # paper, section 5.5 and appendix B
    assert (sft.batch_size, sft.learning_rate, sft.schedule, sft.epochs) == (32, 1e-6, "cosine", epochs)
    assert (sft.lora, sft.train_layers, sft.verdict_weight) == (None, None, 1.0)
    first = str(ROOT / "build/train/table1_wildguardmix_r_full/run/guard")
    gemma, continual = path.stem.startswith("table9"), path.stem.endswith("continual")
    assert recipe.model.base == (
        "google/gemma-3-4b-it" if gemma else first if continual else "meta-llama/Llama-3.1-8B-Instruct"
    )
    assert sft.out == str(ROOT / "build/train" / path.stem / "run")


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_a_recipe_of_the_demo_begins_with_the_embedded_model(path: Path) -> None:
    assert load_sft_recipe(path).model.base == "embedded"
