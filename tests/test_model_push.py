"""A guard from end to end: its base model read from a Hub, trained, pushed there, and loaded back by its tag."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from safety_reasoning.hub.check_model import METRICS
from tests.conftest import Run, tree
from tests.hub_server.client import online
from tests.hub_server.server import HubServer
from tests.tiny_model import SUFFIX, dual_rows, write_mixture, write_tiny_model

pytest.importorskip("trl")
pytest_plugins = ["tests.hub_server.fixture"]

LOADED = """
from transformers import AutoModelForCausalLM, AutoTokenizer
guard = AutoModelForCausalLM.from_pretrained("o/guard", revision="v0.1.0")
tokenizer = AutoTokenizer.from_pretrained("o/guard", revision="v0.1.0")
chat = [{"role": "user", "content": "Is it?"}]
print(sum(weights.numel() for weights in guard.parameters()))
print(tokenizer.apply_chat_template(chat, tokenize=False, enable_thinking=False))
"""


def test_a_guard_is_trained_on_a_model_of_the_hub_pushed_and_loaded_by_its_tag(
    tmp_path: Path, run: Run, hub: HubServer
) -> None:
    base = hub.add_repo("o/base", "model", folder=write_tiny_model(tmp_path / "base"))
    write_mixture(tmp_path / "mixture", dual_rows(8), SUFFIX)
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        '[model]\nbase = "o/base"\nname = "Tiny"\nlicense = "apache-2.0"\n'
        '[sft]\nout = "run"\nmixture = "mixture"\nbatch_size = 8\ndevice_batch_size = 8\nmax_steps = 1\n',
        encoding="utf-8",
    )
    env = online(hub, tmp_path / "hf")
    done = run("train", "sft", recipe, env=env)
    assert done.returncode == 0, done.stderr
    guard = tmp_path / "run" / "guard"
    assert f"vllm serve {guard}" in done.stdout
    stated = json.loads((guard / "training.json").read_text(encoding="utf-8"))
    assert (stated["base"]["repo"], stated["base"]["commit"]) == ("o/base", base.branches["main"])

    push = ["push", guard, "o/guard", "--create", "--yes"]
    refused = run(*push, env=env)
    assert refused.returncode == 2 and METRICS in refused.stderr, "nobody evaluated it"
    (guard / METRICS).write_text('{"evaluations": []}', encoding="utf-8")
    done = run(*push, env=env)
    assert done.returncode == 0, done.stderr
    published = hub.files("v0.1.0", "o/guard", "model")
    assert {name: data for name, data in published.items() if name != ".gitattributes"} == tree(guard)
    code = [sys.executable, "-c", LOADED]
    loaded = subprocess.run(code, capture_output=True, text=True, env=os.environ | env, timeout=100, check=False)
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    assert int(loaded.stdout.splitlines()[0]) > 1000
    assert "Is it? /no_think<|im_end|>" in loaded.stdout
