"""Training a tiny model: what is learnt from what, and that a run that is killed goes on as if it had not been."""

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.errors import Stopped, UsageError
from tests.tiny_model import SUFFIX, dual_rows, mixture_row, write_mixture, write_tiny_model
from tests.trainings import Watching, tensors, write_training

pytest.importorskip("trl")

from safety_reasoning.train.metrics import read_metrics
from safety_reasoning.train.sft import train_guard
from safety_reasoning.train.sft_recipe import SftRecipe, load_sft_recipe
from safety_reasoning.train.training import Trained
from safety_reasoning.train.training_arguments import Devices, sft_config
from safety_reasoning.train.training_folder import RunFolder
from safety_reasoning.train.training_quiet import quiet

quiet()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and mixtures."""
    folder = tmp_path_factory.mktemp("sft")
    write_tiny_model(folder / "model")
    write_tiny_model(folder / "gemma", kind="gemma3")
    write_mixture(folder / "dual", dual_rows(24), SUFFIX)
    lengths = [mixture_row(n, prompt=[{"role": "user", "content": "x" * (n * 7 % 50)}]) for n in range(16)]
    write_mixture(folder / "uneven", lengths)
    return folder


@pytest.fixture(scope="module")
def plain(place: Path) -> Trained:
    """Two steps of eight rows at once."""
    return _train(place, "plain", device_batch_size=8)


def _recipe(place: Path, out: str, *, base: str = "model", mixture: str = "uneven", **sft: Any) -> Path:
    settings: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "max_tokens": 512,
        "gradient_checkpointing": False,
        "saved_weights": "float32",
    }
    return write_training(place, "sft", base=base, settings={"out": out, "mixture": mixture} | settings | sft)


def _train(place: Path, out: str, **options: Any) -> Trained:
    return train_guard(load_sft_recipe(_recipe(place, out, **options)), Watching())


def _curve(trained: Trained) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read_metrics(trained.folder / "metrics.jsonl")]


def _losses(trained: Trained) -> list[float]:
    return [loss for _, loss in _curve(trained)]


@pytest.mark.parametrize("weight", [1.0, 3.0], ids=["plain", "weighted verdicts"])
def test_one_row_eight_times_is_a_batch_of_eight(place: Path, weight: float) -> None:
    single = _train(place, f"single{weight}", device_batch_size=1, verdict_weight=weight)
    batch = _train(place, f"batch{weight}", device_batch_size=8, verdict_weight=weight)
    assert len(_losses(batch)) == 2
    assert _losses(single) == pytest.approx(_losses(batch), rel=1e-5)
    one, other = tensors(single.guard), tensors(batch.guard)
    assert all((one[name] - other[name]).abs().max() < 1e-5 for name in one)


def test_packed_rows_do_not_see_each_other(place: Path) -> None:
    apart = _train(place, "apart", batch_size=16, device_batch_size=16)
    packed = _train(place, "packed", batch_size=1, packing=True, max_tokens=2048)
    assert packed.steps == apart.steps == 1
    assert _losses(packed) == pytest.approx(_losses(apart), rel=1e-5)


def test_the_loss_falls_and_is_on_the_completion_alone(place: Path) -> None:
    trained = _train(place, "falls", epochs=16, learning_rate=1e-2, device_batch_size=8)
    losses = _losses(trained)
    assert losses[-1] < losses[0] / 2, losses
    stated = json.loads((trained.folder / "lengths.json").read_text())
    assert 0 < stated["completion_tokens"] < stated["tokens"]


def test_only_the_last_layers_change_if_only_they_are_trained(place: Path) -> None:
    trained = _train(place, "top", train_layers=1, device_batch_size=8)
    before, after = tensors(place / "model"), tensors(trained.guard)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and all(name.startswith("model.layers.1.") or name == "model.norm.weight" for name in changed)


def test_adapters_are_merged_into_weights_that_load_by_themselves(place: Path) -> None:
    from transformers import AutoModelForCausalLM

    trained = _train(place, "lora", lora={"rank": 4}, epochs=2, learning_rate=1e-2, device_batch_size=4)
    before, after = tensors(place / "model"), tensors(trained.guard)
    assert before.keys() == after.keys()
    assert not before["model.layers.0.self_attn.q_proj.weight"].equal(after["model.layers.0.self_attn.q_proj.weight"])
    assert before["model.embed_tokens.weight"].equal(after["model.embed_tokens.weight"])
    assert _losses(trained)[-1] < _losses(trained)[0]
    AutoModelForCausalLM.from_pretrained(trained.guard)


def test_gradient_checkpointing_changes_memory_and_nothing_else(place: Path, plain: Trained) -> None:
    again = _train(place, "again", device_batch_size=8, gradient_checkpointing=True)
    assert _losses(plain) == pytest.approx(_losses(again), rel=1e-6)


def test_a_model_that_also_sees_is_trained_as_a_reader(place: Path) -> None:
    trained = _train(place, "reader", base="gemma", device_batch_size=8)
    whole, guard = tensors(place / "gemma"), tensors(trained.guard)
    config = json.loads((trained.guard / "config.json").read_text())
    assert config["architectures"] == ["Gemma3ForCausalLM"]
    assert any("vision" in name for name in whole) and not any("vision" in name for name in guard)
    old = whole["language_model.model.layers.0.mlp.up_proj.weight"]
    moved = (old - guard["model.layers.0.mlp.up_proj.weight"]).abs().max()
    assert 0 < moved < 0.01  # the same weights, two small steps on


def test_a_killed_run_goes_on_with_the_losses_it_would_have_had(place: Path) -> None:
    options: dict[str, Any] = {"mixture": "dual", "epochs": 8, "save_every": 3, "device_batch_size": 4}
    whole = _train(place, "whole", **options)
    recipe = _recipe(place, "killed", **options)
    command = [sys.executable, "-m", "safety_reasoning.cli", "train", "sft", str(recipe)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    mark = place / "killed" / "checkpoints" / "checkpoint-6" / "complete.json"
    _wait_for(mark, running)
    running.send_signal(signal.SIGKILL)
    running.wait()
    killed_at = read_metrics(place / "killed" / "metrics.jsonl")[-1]["step"]
    assert 6 <= killed_at < whole.steps
    torn = place / "killed" / "checkpoints" / "checkpoint-23"
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{")  # as a kill within a save leaves it
    watching = Watching()
    resumed = train_guard(load_sft_recipe(recipe), watching)
    assert any(stage.startswith("going on from checkpoint-") for stage in watching.stages)
    assert _curve(resumed) == _curve(whole)
    one, other = tensors(whole.guard), tensors(resumed.guard)
    assert all(one[name].equal(other[name]) for name in one)


def _wait_for(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 200
    while not path.is_file():
        assert process.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.005)


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(place: Path) -> None:
    class Interrupting(Watching):
        def step(self, done: int, of: int, note: str) -> None:
            super().step(done, of, note)
            if done == 3:
                signal.raise_signal(signal.SIGINT)

    recipe = load_sft_recipe(_recipe(place, "stopped", mixture="dual", epochs=4))
    with pytest.raises(Stopped, match=r"stopped at step [34] of 12; run the same command again"):
        train_guard(recipe, Interrupting())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    watching = Watching()
    assert train_guard(recipe, watching).steps == 12
    assert "going on from checkpoint-3" in watching.stages or "going on from checkpoint-4" in watching.stages


def test_progress_has_the_step_the_loss_and_the_eta(place: Path) -> None:
    watching = Watching()
    train_guard(load_sft_recipe(_recipe(place, "watched", mixture="dual", device_batch_size=8)), watching)
    assert [(done, of) for done, of, _ in watching.steps] == [(1, 3), (2, 3), (3, 3)]
    assert all(part in watching.steps[-1][2] for part in ("loss ", "tokens/s", "ETA 0:"))
    assert any("24 rows of" in stage for stage in watching.stages)


def test_a_run_leaves_metrics_and_figures(place: Path) -> None:
    trained = _train(place, "figures", report_to=["tensorboard"], device_batch_size=8)
    line = read_metrics(trained.folder / "metrics.jsonl")[0]
    assert {"step", "loss", "grad_norm", "learning_rate", "epoch", "tokens"} <= line.keys()
    for name in ("loss", "lengths"):
        assert (trained.folder / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert any((trained.folder / "tensorboard").iterdir())


def test_a_finished_run_is_not_trained_again(place: Path, plain: Trained) -> None:
    again = _train(place, "plain")
    assert not plain.before and again.before and (again.steps, again.lengths) == (plain.steps, plain.lengths)


def test_a_finished_run_needs_its_checkpoints_no_more(place: Path) -> None:
    trained = _train(place, "tidied", device_batch_size=8)
    shutil.rmtree(trained.folder / "checkpoints")
    again = _train(place, "tidied", device_batch_size=8)
    assert again.before and again.steps == trained.steps == 2


def test_a_checkpoint_of_another_recipe_is_refused_with_what_differs(place: Path, plain: Trained) -> None:
    with pytest.raises(UsageError, match="holds another run") as caught:
        _train(place, "plain", learning_rate=2e-3, mixture="dual")
    assert "sft.learning_rate: it has 0.001, the recipe 0.002" in str(caught.value)
    assert "mixture: it has" in str(caught.value)


def test_settings_that_decide_nothing_of_what_is_learnt_may_change(place: Path, plain: Trained) -> None:
    assert _train(place, "plain", device_batch_size=4, save_every=7, log_every=2).before


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_is_at_work(place: Path) -> None:
    with RunFolder(place / "shared").held(), pytest.raises(UsageError, match="another run is at work in"):
        _train(place, "shared", device_batch_size=8)
    assert not any((place / "shared").iterdir())
    assert _train(place, "shared", device_batch_size=8).steps == 2


def test_a_place_that_cannot_be_written_is_named(place: Path) -> None:
    (place / "note.txt").write_text("x")
    recipe = _recipe(place, "below")
    recipe.write_text(recipe.read_text().replace('"below"', '"note.txt/run"'))
    with pytest.raises(UsageError, match="nothing can be written to") as caught:
        train_guard(load_sft_recipe(recipe), Watching())
    assert "Not a directory" in caught.value.why


def test_a_folder_of_something_else_is_left_alone(place: Path) -> None:
    (place / "letters").mkdir()
    (place / "letters" / "dear.txt").write_text("x")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        _train(place, "letters")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"base": "absent"}, "model .*absent cannot be read", id="no model"),
        pytest.param({"mixture": "absent"}, "absent is no mixture", id="no mixture"),
        pytest.param({"max_tokens": 8192}, "context has 4096 tokens", id="beyond the context"),
        pytest.param({"max_tokens": 63}, "no row has at most 63 tokens", id="nothing fits"),
        pytest.param({"max_tokens": 100, "too_long": "refuse"}, "rows have more than 100 tokens", id="refused"),
        pytest.param({"train_layers": 9}, "the model has 2 layers", id="too many layers"),
        pytest.param({"liger": "on"}, "kernels cannot run here", id="liger without a GPU"),
        pytest.param(
            {"report_to": ["trackio"]},
            "trackio is not installed",
            marks=pytest.mark.skipif(importlib.util.find_spec("trackio") is not None, reason="trackio is installed"),
            id="a reporter that is not there",
        ),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_written(
    place: Path, options: dict[str, Any], said: str
) -> None:
    out = f"refused_{'_'.join(options)}"
    with pytest.raises(UsageError, match=said):
        _train(place, out, **options)
    assert not (place / out).exists()


def test_a_batch_that_cannot_be_spread_over_the_devices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="batches of 32 cannot be spread over 3 devices"):
        sft_config(SftRecipe(out="run"), Devices(processes=3, gpu=False, bf16=False), tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("liger_kernel") is not None, reason="liger-kernel is installed")
def test_a_gpu_without_ligers_kernels_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="kernels cannot run here") as caught:
        sft_config(SftRecipe(out="run", liger="on"), Devices(processes=8, gpu=True, bf16=True), tmp_path)
    assert caught.value.fix == "pip install liger-kernel"


def test_rows_that_are_too_long_are_counted_and_named(place: Path) -> None:
    watching = Watching()
    trained = train_guard(load_sft_recipe(_recipe(place, "long", max_tokens=80, device_batch_size=8)), watching)
    assert 0 < trained.lengths["dropped"] < 16
    assert any(f"{trained.lengths['dropped']} rows left out" in stage for stage in watching.stages)
    import polars as pl

    left_out = pl.read_parquet(trained.folder / "left_out" / "too_long.parquet")
    assert left_out.height == trained.lengths["dropped"] and left_out["tokens"].min() > 80  # type: ignore[operator]
