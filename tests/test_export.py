"""Exports, held against the formats that the projects publish; test_export_peers.py loads them with their own code."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from safety_reasoning.errors import UsageError
from safety_reasoning.train import reward
from safety_reasoning.train.export import MAX_TOKENS, Exported
from safety_reasoning.train.export_axolotl import export_axolotl
from safety_reasoning.train.export_llamafactory import export_llamafactory
from safety_reasoning.train.export_verl import export_verl
from tests.conftest import Run, tree
from tests.mixtures import mixed, rows_of, safety, topic, write_mixture_recipe, write_release
from tests.tiny_model import mixture_row, write_mixture

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
BOTH = ({"release": "release", "task": "content_safety"}, {"release": "release", "task": "topic_control"})


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    write_release(tmp_path / "release", [safety(n) for n in range(40)], [topic(n) for n in range(12)])
    mixed(write_mixture_recipe(tmp_path / "r.toml", *BOTH, mode="dual", mark={"place": "suffix"}, seed=3))
    return tmp_path / "mixture"


def table(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def settings(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def test_llamafactory_has_its_data_set_its_description_and_the_papers_run(mixture: Path, tmp_path: Path) -> None:
    exported = export_llamafactory(mixture, tmp_path / "out", model=LLAMA)
    out = tmp_path / "out"
    assert exported.files == ("dataset_info.json", "ds_z3.json", "export.json", "sft.yaml", "train.parquet", "train.sh")
    ((name, info),) = json.loads((out / "dataset_info.json").read_text(encoding="utf-8")).items()
    assert (info["file_name"], info["formatting"], info["columns"]) == (
        "train.parquet",
        "sharegpt",
        {"messages": "messages"},
    )
    run = settings(out / "sft.yaml")
    assert (run["dataset"], run["dataset_dir"], run["template"], run["stage"]) == (name, ".", "llama3", "sft")
    assert run["learning_rate"] == 1e-6
    assert (run["num_train_epochs"], run["lr_scheduler_type"], run["seed"]) == (5.0, "cosine", 3)
    assert run["per_device_train_batch_size"] * run["gradient_accumulation_steps"] * 8 == 32
    rows = rows_of(mixture)
    assert [row["messages"] for row in table(out / "train.parquet")] == [r["prompt"] + r["completion"] for r in rows]
    assert json.loads((out / "export.json").read_text("utf-8"))["mixture"]["hash"] == exported.mixture_hash
    assert json.loads((out / run["deepspeed"]).read_text("utf-8"))["zero_optimization"]["stage"] == 3


def test_axolotl_has_its_data_and_the_papers_run(mixture: Path, tmp_path: Path) -> None:
    export_axolotl(mixture, tmp_path / "out", model=LLAMA, epochs=50)
    run = settings(tmp_path / "out/sft.yaml")
    (source,) = run["datasets"]
    assert (source["type"], source["field_messages"], source["path"]) == ("chat_template", "messages", "train.parquet")
    assert (run["learning_rate"], run["num_epochs"], run["lr_scheduler"]) == (1e-6, 50, "cosine")
    assert len(table(tmp_path / "out" / source["path"])) == 52


def test_verl_has_prompts_with_labels_its_reward_and_the_papers_range(mixture: Path, tmp_path: Path) -> None:
    exported = export_verl(mixture, tmp_path / "out", model="guard", held_back=100)
    out = tmp_path / "out"
    assert exported.files == ("export.json", "grpo.yaml", "reward.py", "train.parquet", "train.sh", "val.parquet")
    rows = {row["key"]: row for row in rows_of(mixture)}
    parts = {split: table(out / f"{split}.parquet") for split in ("train", "val")}
    assert {split: len(found) for split, found in parts.items()} == {"train": 47, "val": 5}
    keys = [row["extra_info"]["key"] for found in parts.values() for row in found]
    assert sorted(keys) == sorted(rows)
    for split, found in parts.items():
        for row in found:
            of = rows[row["extra_info"]["key"]]
            assert row["prompt"] == of["prompt"]
            assert row["reward_model"]["style"] == "rule"
            labels = json.loads(row["reward_model"]["ground_truth"])
            assert labels == {name: of[name] for name in ("prompt_harm", "response_harm", "topic")}
            assert (row["extra_info"]["split"], row["extra_info"]["mode"]) == (split, of["mode"])
            scored = reward.compute_score(
                row["data_source"],
                of["completion"][0]["content"],
                row["reward_model"]["ground_truth"],
                row["extra_info"],
            )
            assert scored["score"] == 1 + reward.FORMAT_WEIGHT
    grpo = settings(out / "grpo.yaml")
    rollout, actor = grpo["actor_rollout_ref"]["rollout"], grpo["actor_rollout_ref"]["actor"]
    assert grpo["algorithm"]["adv_estimator"] == "grpo"
    assert 0.6 <= rollout["temperature"] <= 1.4
    assert 4 <= rollout["n"] <= 16
    assert 1e-6 <= actor["optim"]["lr"] <= 1e-5
    assert 0 < actor["kl_loss_coef"] <= 0.03
    assert (out / "reward.py").read_bytes() == Path(reward.__file__).read_bytes()


def test_a_row_that_is_seen_more_often_is_one_prompt_of_verl(mixture: Path, tmp_path: Path) -> None:
    keys = [row["key"] for row in rows_of(mixture)]
    (tmp_path / "keys.jsonl").write_text("".join(json.dumps({"key": key}) + "\n" for key in keys), encoding="utf-8")
    mixed(write_mixture_recipe(tmp_path / "r.toml", *BOTH, oversample={"keys": "keys.jsonl", "times": 2}))
    assert len(rows_of(mixture)) == 156
    assert export_verl(mixture, tmp_path / "out", model="guard").rows == 52


def export_one(mixture: Path, out: Path, project: str) -> Exported:
    if project == "llamafactory":
        return export_llamafactory(mixture, out, model=LLAMA)
    if project == "axolotl":
        return export_axolotl(mixture, out, model=LLAMA)
    return export_verl(mixture, out, model=LLAMA)


PROJECTS = pytest.mark.parametrize("project", ["llamafactory", "axolotl", "verl"])


@PROJECTS
def test_an_export_is_the_same_bytes_each_time_and_replaces_only_an_export(
    mixture: Path, tmp_path: Path, project: str
) -> None:
    export_one(mixture, tmp_path / "out", project)
    first = tree(tmp_path / "out")
    export_one(mixture, tmp_path / "out", project)
    assert tree(tmp_path / "out") == first
    before = tree(mixture)
    with pytest.raises(UsageError, match="is no export"):
        export_one(mixture, mixture, project)
    assert tree(mixture) == before


@PROJECTS
def test_a_mode_that_is_not_in_the_text_cannot_be_exported(tmp_path: Path, project: str) -> None:
    write_release(tmp_path / "release", [safety(n) for n in range(20)])
    mixed(write_mixture_recipe(tmp_path / "r.toml", mode="dual", mark={"place": "template"}))
    with pytest.raises(UsageError, match="cannot be told the mode of each row"):
        export_one(tmp_path / "mixture", tmp_path / "out", project)
    assert not (tmp_path / "out").exists()


@PROJECTS
def test_rows_that_may_not_fit_are_left_out_and_named(tmp_path: Path, project: str) -> None:
    rows = [safety(n) for n in range(20)]
    rows[4] |= {"prompt": "\U0001f3f4" * (MAX_TOKENS // 4)}
    write_release(tmp_path / "release", rows)
    mixed(write_mixture_recipe(tmp_path / "r.toml"))
    exported = export_one(tmp_path / "mixture", tmp_path / "out", project)
    assert (exported.rows, exported.too_long) == (19, 1)
    assert "1 rows may have more than 16384 tokens" in exported.warnings[0]
    stated = json.loads((tmp_path / "out/export.json").read_text(encoding="utf-8"))
    (gone,) = stated["too_long"]
    assert gone in {row["key"] for row in rows_of(tmp_path / "mixture")}


@PROJECTS
def test_a_mixture_of_which_nothing_fits_cannot_be_exported(tmp_path: Path, project: str) -> None:
    write_release(tmp_path / "release", [safety(0, prompt="x" * MAX_TOKENS)])
    mixed(write_mixture_recipe(tmp_path / "r.toml"))
    with pytest.raises(UsageError, match="no row of"):
        export_one(tmp_path / "mixture", tmp_path / "out", project)
    assert not (tmp_path / "out").exists()


def test_a_mixture_of_one_row_is_too_small_for_verl(tmp_path: Path) -> None:
    write_release(tmp_path / "release", [safety(0)])
    mixed(write_mixture_recipe(tmp_path / "r.toml"))
    with pytest.raises(UsageError, match="too few rows for verl: 0 to train on, 1 to validate on"):
        export_verl(tmp_path / "mixture", tmp_path / "out", model=LLAMA)
    assert not (tmp_path / "out").exists()


@PROJECTS
def test_a_mixture_that_was_made_by_hand_needs_no_seed(tmp_path: Path, project: str) -> None:
    write_mixture(tmp_path / "mixture", [mixture_row(number) for number in range(4)])
    assert export_one(tmp_path / "mixture", tmp_path / "out", project).rows == 4


def test_a_model_without_a_known_template_needs_one_by_name(mixture: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no template of LlamaFactory is known for my/guard"):
        export_llamafactory(mixture, tmp_path / "out", model="my/guard")
    export_llamafactory(mixture, tmp_path / "out", model="my/guard", template="phi4")
    assert settings(tmp_path / "out/sft.yaml")["template"] == "phi4"


@pytest.mark.parametrize("model", ["$(touch x)", "a: [b", "'; rm -rf /", "{{ x }}", "${oc.env:HOME}"])
def test_a_models_name_is_never_more_than_a_name(mixture: Path, tmp_path: Path, model: str) -> None:
    export_llamafactory(mixture, tmp_path / "lf", model=model, template="llama3")
    assert settings(tmp_path / "lf/sft.yaml")["model_name_or_path"] == model
    export_verl(mixture, tmp_path / "verl", model=model)
    assert settings(tmp_path / "verl/grpo.yaml")["actor_rollout_ref"]["model"]["path"] == model
    for script in (tmp_path / "lf/train.sh", tmp_path / "verl/train.sh"):
        assert model not in script.read_text(encoding="utf-8")
        subprocess.run(["bash", "-n", script], check=True)


@PROJECTS
def test_the_command_exports_and_says_how_to_start(mixture: Path, tmp_path: Path, run: Run, project: str) -> None:
    done = run("train", "export", project, mixture, tmp_path / "out", "--model", LLAMA)
    assert done.returncode == 0, done.stderr
    assert "52 rows of mixture" in done.stdout
    assert str(tmp_path / "out") in done.stdout.partition("start it with:")[2]
