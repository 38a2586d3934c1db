"""DPO of a tiny guard on its own answers: the loss falls, the margin rises, a kill changes nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from safety_reasoning.builders.calls import Reply, Status
from safety_reasoning.cli import app
from safety_reasoning.errors import UsageError
from tests.mining import reply, safety_answer, whole_mixture, write_mined, write_tiny_guard
from tests.tiny_model import SUFFIX, dual_rows, mixture_row, write_tiny_model
from tests.trainings import Watching, curve, tensors, write_training

pytest.importorskip("trl")

from safety_reasoning.train.preference import train_dpo
from safety_reasoning.train.preference_recipe import DpoRecipe, load_tune_recipe
from safety_reasoning.train.training import Trained
from safety_reasoning.train.training_quiet import quiet

quiet()
ROWS = 16
OTHER = {"harmful": "unharmful", "unharmful": "harmful"}


def answers(row: dict[str, Any]) -> Sequence[Reply]:
    """Right three times of four; every fourth row twice, once without a verdict; every fifth always."""
    right, wrong = safety_answer(row["prompt_harm"]), safety_answer(OTHER[row["prompt_harm"]])
    reasoning = "It is so." if row["mode"] == "reasoning" else None
    number = int(row["key"], 16)
    said = [right, right, right, right if number % 5 == 0 else wrong]
    if number % 4 == 0:
        said[2] = "I cannot say."
    return [reply(text, reasoning=reasoning, index=index) for index, text in enumerate(said)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guard, and what was mined with it: in one mode, in two, and in two that the template is told."""
    folder = tmp_path_factory.mktemp("dpo")
    guard = write_tiny_guard(folder / "guard")
    write_tiny_guard(folder / "other", name="Another guard")
    whole_mixture(folder / "one", [mixture_row(number) for number in range(ROWS)])
    whole_mixture(folder / "two", dual_rows(ROWS), SUFFIX)
    told = [
        mixture_row(number, mode=mode, chat_template_kwargs={"enable_thinking": mode == "reasoning"})
        for number, mode in enumerate(["reasoning", "non_reasoning"] * (ROWS // 2))
    ]
    whole_mixture(folder / "told", told, {"place": "template", "on": "", "off": ""})
    for name in ("one", "two", "told"):
        write_mined(folder / f"mined_{name}", folder / name, guard, answers)
    write_mined(folder / "easy", folder / "one", guard, lambda row: [reply(safety_answer(row["prompt_harm"]))] * 4)
    return folder


def _recipe(place: Path, out: str, *, base: str = "guard", mined: str = "mined_one", **dpo: Any) -> Path:
    settings: dict[str, Any] = {
        "batch_size": 4,
        "device_batch_size": 4,
        "learning_rate": 1e-3,
        "max_tokens": 512,
        "gradient_checkpointing": False,
        "saved_weights": "float32",
    }
    return write_training(place, "dpo", base=base, settings={"out": out, "mined": mined} | settings | dpo)


def _train(place: Path, out: str, progress: Watching | None = None, **options: Any) -> Trained:
    return train_dpo(*load_tune_recipe(_recipe(place, out, **options), DpoRecipe), progress or Watching())


@pytest.fixture(scope="module")
def plain(place: Path) -> Trained:
    return _train(place, "plain", epochs=5)


def test_the_loss_falls_and_the_margin_rises(plain: Trained) -> None:
    loss, margin, accuracy = (curve(plain.folder, name) for name in ("loss", "margin", "accuracy"))
    assert loss[0] == pytest.approx(0.6931, abs=1e-3) and margin[0] == pytest.approx(0, abs=1e-5)
    assert sum(loss[-3:]) / 3 < 0.6 and sum(margin[-3:]) / 3 > 0.2
    assert accuracy[-1] == 1.0
    assert not (plain.folder / "cache").exists()


def test_a_larger_beta_holds_the_guard_to_what_it_was(place: Path, plain: Trained) -> None:
    held = _train(place, "held", epochs=5, beta=5.0)
    started = tensors(place / "guard")

    def moved(trained: Trained) -> float:
        after = tensors(trained.guard)
        return sum(float((after[name] - started[name]).norm()) for name in started)

    # the same preference costs a fiftieth of the distance, and the loss is flat beyond it
    assert moved(held) < moved(plain)


def test_pairs_and_rows_without_one_are_counted(place: Path, plain: Trained) -> None:
    stated = json.loads((plain.folder / "lengths.json").read_text())
    always = sum(number % 5 == 0 and number % 4 != 0 for number in range(ROWS))
    twice = sum(number % 4 == 0 and number % 5 == 0 for number in range(ROWS))
    assert stated["rows"] == ROWS - always - twice
    assert stated["unpaired"] == {"not_difficult": always, "none_right": 0, "none_wrong": twice}
    training = json.loads((plain.guard / "training.json").read_text())
    assert curve(plain.folder, "tokens")[-1] == 5 * stated["tokens"]
    assert training["method"] == "dpo" and training["recipe"]["pairs_hash"] == stated["pairs_hash"]
    card = (plain.guard / "README.md").read_text()
    assert f"on {stated['rows']} pairs of answers." in card
    assert f"| steps | {plain.steps} of 4 pairs |" in card and "| loss | sigmoid, beta 0.1 |" in card


def test_the_pairs_are_a_data_set_that_comes_out_the_same(place: Path, plain: Trained, tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset(str(plain.folder / "pairs"), split="train", cache_dir=str(tmp_path))
    assert set(loaded.column_names) == {"prompt", "chosen", "rejected"} and len(loaded) == plain.lengths["rows"]
    for row in loaded.to_list():
        verdicts = {side: row[side][0]["content"].split()[2] for side in ("chosen", "rejected")}
        assert verdicts["chosen"] == OTHER[verdicts["rejected"]]
    again = _train(place, "again", max_steps=1)
    path = "pairs/train.parquet"
    assert (again.folder / path).read_bytes() == (plain.folder / path).read_bytes()


def test_adapters_need_no_second_model_and_neither_do_answers_scored_before(place: Path) -> None:
    whole = curve(_train(place, "apart", max_steps=3).folder)
    assert curve(_train(place, "precomputed", max_steps=3, precompute=True).folder) == pytest.approx(whole, rel=1e-4)
    lora = _train(place, "lora", epochs=5, learning_rate=4e-3, lora={"rank": 8, "alpha": 16})
    assert curve(lora.folder, "loss")[0] == pytest.approx(whole[0]) and sum(curve(lora.folder, "margin")[-6:]) / 6 > 0.1
    assert tensors(lora.guard).keys() == tensors(place / "guard").keys()


def test_a_guard_of_two_modes_keeps_its_switch(place: Path) -> None:
    from transformers import AutoTokenizer

    trained = _train(place, "both", mined="mined_two", max_steps=1)
    template = AutoTokenizer.from_pretrained(trained.guard).chat_template
    assert "/no_think" in template and json.loads((trained.guard / "training.json").read_text())["switch"] is not None
    told = _train(place, "told_run", mined="mined_told", max_steps=1)
    import polars as pl

    assert "chat_template_kwargs" in pl.read_parquet(told.folder / "pairs/train.parquet").columns


@pytest.mark.timeout(300)
def test_a_killed_run_goes_on_with_the_losses_it_would_have_had(place: Path) -> None:
    options: dict[str, Any] = {"epochs": 9, "save_every": 3}
    whole = _train(place, "whole", **options)
    recipe = _recipe(place, "killed", **options)
    command = [sys.executable, "-m", "safety_reasoning.cli", "train", "dpo", str(recipe)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    mark = place / "killed" / "checkpoints" / "checkpoint-3" / "complete.json"
    deadline = time.monotonic() + 150
    while not mark.is_file():
        assert running.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert not (place / "killed" / "guard").exists()
    watching = Watching()
    resumed = _train(place, "killed", watching, **options)
    assert any(stage.startswith("going on from checkpoint-") for stage in watching.stages)
    assert curve(resumed.folder) == curve(whole.folder) and curve(resumed.folder, "margin") == curve(
        whole.folder, "margin"
    )
    one, other = tensors(whole.guard), tensors(resumed.guard)
    assert all(one[name].equal(other[name]) for name in one)


def test_a_finished_run_is_not_trained_again_and_another_recipe_is_refused(place: Path, plain: Trained) -> None:
    again = _train(place, "plain", epochs=5)
    assert again.before and (again.steps, again.lengths) == (plain.steps, plain.lengths)
    with pytest.raises(UsageError, match="holds another run") as caught:
        _train(place, "plain", epochs=5, beta=0.2, unparsed=True)
    assert "beta: it has 0.1, the recipe 0.2" in str(caught.value) and "pairs_hash: it has" in str(caught.value)


def test_the_command_prints_one_document(place: Path) -> None:
    done = CliRunner().invoke(app, ["train", "dpo", str(_recipe(place, "commanded")), "--max-steps", "1", "--json"])
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["steps"] == 1 and Path(document["guard"], "model.safetensors").is_file()
    assert "pairs; rows without one" in done.stderr


def _mute(place: Path) -> dict[str, Any]:
    write_tiny_model(place / "mute", chat_template=None)
    return {"base": "mute", "of_another_guard": True}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"mined": "absent"}, "holds no mined rows", id="nothing mined"),
        pytest.param({"mined": "easy"}, "none of the rows in .* is difficult", id="nothing difficult"),
        pytest.param({"base": "other"}, "are of another guard", id="another guard's generations"),
        pytest.param(_mute, "has no chat template", id="a guard without chat template"),
        pytest.param({"pairs_hash": "0"}, "not those that dpo.pairs_hash names", id="other pairs"),
        pytest.param({"max_tokens": 40}, "need more than 40 tokens, the longest", id="nothing fits"),
        pytest.param({"max_tokens": 84, "too_long": "refuse"}, 'too_long is "refuse"', id="refused"),
        pytest.param({"too_long": "cut_prompt"}, "generations are of the whole prompt", id="cut prompts"),
        pytest.param({"packing": True}, "packing is a field of", id="packing"),
        pytest.param({"train_layers": 1}, "add lora", id="layers without adapters"),
        pytest.param({"label_smoothing": 0.1}, 'does nothing with loss = "sigmoid"', id="smoothing that is not used"),
        pytest.param({"beta": 0}, "dpo.beta", id="no beta"),
        pytest.param({"betta": 1}, "dpo.betta: unknown key", id="unknown key"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_written(place: Path, options: Any, said: str) -> None:
    changed: dict[str, Any] = options if isinstance(options, dict) else options(place)
    with pytest.raises(UsageError, match=said):
        _train(place, "refused", **changed)
    assert not (place / "refused").exists()


def test_generations_of_another_guard_are_taken_if_that_is_wanted(place: Path) -> None:
    assert _train(place, "mixed_guards", base="other", of_another_guard=True, max_steps=1).steps == 1


def test_where_it_cannot_be_told_whose_generations_they_are_that_is_said(place: Path) -> None:
    write_tiny_model(place / "bare")
    watching = Watching()
    _train(place, "bare_run", watching, base="bare", max_steps=1)
    assert any(stage.startswith("it cannot be told whether the generations, of Tiny") for stage in watching.stages)


def test_a_file_may_hold_the_tables_of_all_stages(place: Path) -> None:
    path = place / "stages.toml"
    path.write_text(
        '[model]\nbase = "./guard"\nname = "T"\nlicense = "mit"\n[dpo]\nout = "x"\n[mine]\nout = "mined_one"\n'
        '[grpo]\nany = 1\n[sft]\nout = "y"\n',
        encoding="utf-8",
    )
    assert load_tune_recipe(path, DpoRecipe)[1].mined == str(place / "mined_one")
    path.write_text(path.read_text().replace("[mine]", "[mines]"), encoding="utf-8")
    with pytest.raises(UsageError, match="mines: unknown key"):
        load_tune_recipe(path, DpoRecipe)


def test_truncated_generations_are_in_no_pair(place: Path) -> None:
    def cut(row: dict[str, Any]) -> Sequence[Reply]:
        right = reply(safety_answer(row["prompt_harm"]))
        return [right, right, reply("Prompt harm: harm", status=Status.TRUNCATED)]

    write_mined(place / "cut", place / "one", place / "guard", cut)
    with pytest.raises(UsageError, match=r"no row of .* has a right and a wrong generation"):
        _train(place, "none", mined="cut")
