"""docs/training.md: its recipes and commands, run in order with a tiny model and a scripted guard."""

import json
import shlex
from pathlib import Path

import pytest
import regex
from typer.testing import CliRunner

from safety_reasoning.cli import app
from tests.conftest import ROOT
from tests.guard_server import live_guard
from tests.mining import safety_answer
from tests.mixtures import safety, write_release
from tests.test_docs import blocks
from tests.tiny_model import write_tiny_model

pytest.importorskip("trl")

TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
SMALL = {
    '"google/gemma-3-4b-it"': '"./tiny"',
    "[mixture]\n": '[mixture]\npolicy = "policy.txt"\n',
    "[sft]\n": "[sft]\nbatch_size = 2\nmax_tokens = 2048\n",
    "[dpo]\n": "[dpo]\nbatch_size = 2\nmax_tokens = 2048\n",
    "[grpo]\n": "[grpo]\nbatch_size = 4\nrollouts = 2\ndevice_batch_size = 4\nreply_tokens = 8\nmax_tokens = 2048\n",
}
"""What makes the recipes fit a model of a few thousand weights."""


def answered(number: int, seed: int) -> str:
    """Every row right two times of four."""
    right = seed % 2 == 0
    harmful = (number % 2 == 1) == right
    return safety_answer("harmful" if harmful else "unharmful", "unharmful" if number % 2 else "None")


@pytest.mark.timeout(300)
def test_the_whole_way_goes_as_the_docs_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_model(tmp_path / "tiny")
    (tmp_path / "policy.txt").write_text("S1: Violence.", encoding="utf-8")
    write_release(tmp_path / "build/quickstart/release", [safety(number) for number in range(8)])
    with live_guard(answered) as guard:
        recipes = dict(zip(regex.findall(r"`(\w+\.toml)`, ", TEXT), blocks("toml", TEXT), strict=True))
        for name, text in recipes.items():
            for old, new in SMALL.items():
                text = text.replace(old, new)
            (tmp_path / name).write_text(text.replace("http://127.0.0.1:8000/v1", guard.url), encoding="utf-8")
        commands = [shlex.split(line.removeprefix("$ ")) for line in blocks("console", TEXT)[0].splitlines()]
        for program, *arguments in commands:
            if program == "vllm":
                assert (tmp_path / arguments[-1] / "config.json").is_file()
                continue
            short = ["--max-steps", "1"] if arguments[1] in ("sft", "dpo", "grpo") else []
            done = CliRunner().invoke(app, [*arguments, *short])
            assert done.exit_code == 0, f"{arguments}\n{done.stderr}\n{done.exception}"
    methods = {
        name: json.loads((tmp_path / "build/guard" / name / "guard/training.json").read_text())["method"]
        for name in ("run", "continual", "dpo", "grpo")
    }
    assert methods == {"run": "sft", "continual": "sft", "dpo": "dpo", "grpo": "grpo"}


def test_the_files_that_the_docs_name_are_there() -> None:
    for name in regex.findall(r"\]\(\.\./([^)]+)\)", TEXT):
        assert (ROOT / name).is_file(), name
    for word in ("always_right", "mostly_right", "difficult", "seldom_right", "always_wrong", "not_judged"):
        assert f"`{word}`" in TEXT


def test_the_defaults_in_the_docs_are_those_of_the_recipes() -> None:
    from safety_reasoning.train.preference_recipe import GrpoRecipe
    from safety_reasoning.train.reward import FALSE_ALARM, FORMAT_WEIGHT, MISSED_HARM

    recipe = GrpoRecipe(out="x")
    shown = {field: default for default, field in regex.findall(r"\| ([\d.e-]+) \| `(\w+)` \|", TEXT)}
    assert {name: float(value) for name, value in shown.items()} == {
        "temperature": recipe.temperature,
        "learning_rate": recipe.learning_rate,
        "kl": recipe.kl,
        "rollouts": recipe.rollouts,
        "missed_harm": recipe.missed_harm,
        "false_alarm": recipe.false_alarm,
    }
    assert (recipe.missed_harm, recipe.false_alarm, recipe.format_weight) == (MISSED_HARM, FALSE_ALARM, FORMAT_WEIGHT)
