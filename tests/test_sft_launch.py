"""The command `train sft`: alone, over several processes, from a release in one go; and the launchers' settings."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.errors import UsageError
from tests.conftest import ROOT, Run
from tests.mixtures import safety, write_release
from tests.tiny_model import SUFFIX, dual_rows, write_mixture, write_tiny_model
from tests.trainings import Watching

pytest.importorskip("trl")

from safety_reasoning.train.metrics import read_metrics
from safety_reasoning.train.sft import train_guard
from safety_reasoning.train.sft_recipe import load_sft_recipe
from safety_reasoning.train.training_mixture import make_ready
from safety_reasoning.train.training_quiet import quiet

quiet()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model and a mixture."""
    folder = tmp_path_factory.mktemp("launch")
    write_tiny_model(folder / "llama")
    write_mixture(folder / "dual", dual_rows(32), SUFFIX)
    return folder


def _write(place: Path, out: str, *, mixture: str = 'mixture = "dual"', more: str = "") -> Path:
    path = place / f"{out}.toml"
    path.write_text(
        '[model]\nbase = "./llama"\nname = "Tiny"\nlicense = "apache-2.0"\n'
        f'[sft]\nout = "{out}"\nbatch_size = 8\nlearning_rate = 1e-3\nmax_tokens = 2048\nepochs = 1\n{mixture}\n{more}',
        encoding="utf-8",
    )
    return path


def test_the_command_trains_and_says_where_the_guard_is(place: Path, run: Run) -> None:
    recipe = _write(place, "told", more='precision = "bf16"\nreport_to = ["tensorboard"]\n')
    done = run("train", "sft", recipe, "--max-steps", "2", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["steps"], said["before"], said["lengths"]["rows"]) == (2, False, 32)
    assert (Path(said["guard"]) / "model.safetensors").is_file()
    assert "step 2/2, loss " in done.stderr and "ETA 0:00:00" in done.stderr
    other = run("train", "sft", recipe, "--max-steps", "3")
    assert other.returncode == 2 and "sft.max_steps: it has 2, the recipe 3" in other.stderr


@pytest.mark.parametrize("package", ["torch", "trl", "peft"])
def test_without_the_extra_the_command_names_it(place: Path, package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from safety_reasoning.cli import main; main()"
    command = [sys.executable, "-c", code, "train", "sft", str(_write(place, "bare"))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and f"{package} is not installed" in done.stderr
    assert "pip install 'safety-reasoning[train]'" in done.stderr


def test_two_processes_learn_what_one_does(place: Path) -> None:
    alone = train_guard(load_sft_recipe(_write(place, "one")), Watching())
    recipe = _write(place, "two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "safety_reasoning.cli", "train", "sft", str(recipe)]
    out, status = _in_a_session(command)
    assert status == 0, out[-2000:]
    assert json.loads((place / "two" / "guard" / "training.json").read_text())["processes"] == 2
    losses = [[line["loss"] for line in read_metrics(place / name / "metrics.jsonl")] for name in ("one", "two")]
    assert alone.steps == 4 and losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert out.count("Tiny 0.1.0, trained for 4 steps") == 1


def _in_a_session(command: list[str]) -> tuple[str, int]:
    """What a command and its children say, and its exit code; none of them outlives the test."""
    merged: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, start_new_session=True, **merged) as running:
        try:
            out, _ = running.communicate(timeout=250)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    return str(out), running.returncode


def test_ctrl_c_ends_the_command_with_130_and_what_to_do(place: Path) -> None:
    recipe = _write(place, "broken_off", more="save_every = 1")
    recipe.write_text(recipe.read_text().replace("epochs = 1", "epochs = 500"))
    command = [sys.executable, "-m", "safety_reasoning.cli", "train", "sft", str(recipe)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("step "):
            running.send_signal(signal.SIGINT)
            break
    _, rest = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "run the same command again to go on" in rest and "Traceback" not in rest


def test_one_command_goes_from_a_release_to_a_guard(place: Path, run: Run) -> None:
    write_release(place / "release", [safety(number) for number in range(12)])
    mixture = '[mixture]\nname = "M"\nout = "made"\nmode = "dual"\n'
    mixture += '[[mixture.parts]]\nrelease = "release"\ntask = "content_safety"\n'
    recipe = _write(place, "whole", mixture="", more="packing = false\n" + mixture)
    done = run("train", "sft", recipe, "--max-steps", "1")
    assert done.returncode == 0, done.stderr
    stated = json.loads((place / "whole" / "guard" / "training.json").read_text())
    assert stated["mixture"]["hash"] == json.loads((place / "made" / "mixture.json").read_text())["hash"]
    assert "[reasoning]" in (place / "whole" / "guard" / "chat_template.jinja").read_text()
    recipe.write_text(recipe.read_text().replace('mode = "dual"', 'mode = "reasoning"'))
    with pytest.raises(UsageError, match="was made by another recipe") as caught:
        make_ready(recipe, Watching())
    assert caught.value.why == 'its mode: "dual", the recipe\'s: "reasoning"'


def test_a_model_that_cannot_be_trained_is_refused_before_the_mixture_is_made(place: Path) -> None:
    write_tiny_model(place / "base_model", chat_template=None)
    write_release(place / "waiting", [safety(number) for number in range(4)])
    mixture = '[mixture]\nname = "M"\nout = "unmade"\nmode = "reasoning"\n'
    mixture += '[[mixture.parts]]\nrelease = "waiting"\ntask = "content_safety"\n'
    recipe = _write(place, "refused", mixture="", more=mixture)
    recipe.write_text(recipe.read_text().replace("./llama", "./base_model"))
    with pytest.raises(UsageError, match="has no chat template"):
        make_ready(recipe, Watching(), load_sft_recipe(recipe))
    assert not (place / "unmade").exists()


@pytest.mark.parametrize("name", ["fsdp", "deepspeed_zero3"])
def test_the_launchers_settings_are_read_by_accelerate(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = ROOT / "train" / "accelerate" / f"{name}.yaml"
    config: Any = load_config_from_file(str(path))
    assert str(config.distributed_type).endswith("FSDP" if name == "fsdp" else "DEEPSPEED")
    assert (config.num_processes, config.mixed_precision) == (8, "bf16")
    if name == "fsdp":
        assert config.fsdp_config["fsdp_state_dict_type"] == "FULL_STATE_DICT"
        assert config.fsdp_config["fsdp_version"] == 2
    else:
        assert config.deepspeed_config["zero_stage"] == 3
        assert config.deepspeed_config["zero3_save_16bit_model"] is True


@pytest.mark.parametrize("name", ["fsdp", "deepspeed_zero3"])
def test_the_launcher_makes_the_settings_into_an_environment(name: str) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    path = ROOT / "train" / "accelerate" / f"{name}.yaml"
    arguments = launch_command_parser().parse_args(["--config_file", str(path), "script.py"])
    arguments, _, _ = _validate_launch_command(arguments)
    environment = prepare_multi_gpu_env(arguments)
    wanted = {"fsdp": "ACCELERATE_USE_FSDP", "deepspeed_zero3": "ACCELERATE_USE_DEEPSPEED"}[name]
    assert environment.get(wanted) == "true" or arguments.use_deepspeed
