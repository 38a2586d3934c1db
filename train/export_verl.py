"""A mixture for verl: prompts and labels as Parquet, the reward function, and GRPO's settings (paper, Appendix F).

Format: https://verl.readthedocs.io, "Prepare Data for Post-Training" and "Implement Reward Function for Dataset".
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from safety_reasoning.errors import UsageError
from safety_reasoning.train import reward
from safety_reasoning.train.export import (
    MAX_TOKENS,
    MESSAGES,
    Exported,
    Fitting,
    exporting,
    finish,
    open_for_export,
    write_parquet,
)
from safety_reasoning.train.mixture_read import Mixture
from safety_reasoning.train.subset import shuffled

_TRAIN, _VALIDATION, _REWARD, _SETTINGS, _START = "train.parquet", "val.parquet", "reward.py", "grpo.yaml", "train.sh"
_LABELS = ("prompt_harm", "response_harm", "topic")
_SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", MESSAGES),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct([("split", pa.string()), ("index", pa.int64()), ("key", pa.string()), ("mode", pa.string())]),
        ),
    ]
)
_REPLY_TOKENS = 2048
_SCRIPT = """\
#!/usr/bin/env bash
# 8 GPUs, as in the paper. Further settings may follow, as `bash train.sh trainer.n_gpus_per_node=4`.
set -euo pipefail
cd "$(dirname "$0")"
python3 -m verl.trainer.main_ppo --config-path="$PWD" --config-name=grpo "$@"
"""


def export_verl(folder: Path, out: Path, *, model: str, held_back: int = 256) -> Exported:
    """Write the export of a mixture; a row that it holds several times is there once.

    `held_back` rows, at most a tenth, are kept for validation. Raises: UsageError if the mixture or the place cannot
    be used, or there are too few rows for both.
    """
    mixture = open_for_export(folder, "verl")
    fitting = Fitting(mixture, [])
    validation = _held_back(mixture, held_back)
    with exporting(out) as new:
        counts = [
            write_parquet(new / name, _SCHEMA, _rows(fitting.rows(), split, validation))
            for name, split in ((_TRAIN, "train"), (_VALIDATION, "val"))
        ]
        fitting.too_long = sorted(set(fitting.too_long))
        _check_both(counts, fitting)
        (new / _REWARD).write_bytes(Path(reward.__file__).read_bytes())
        (new / _SETTINGS).write_text(yaml.safe_dump(_grpo(model), sort_keys=False), encoding="utf-8")
        (new / _START).write_text(_SCRIPT, encoding="utf-8")
        return finish(
            new, out, fitting, project="verl", rows=sum(counts), start=f"bash {shlex.quote(str(out / _START))}"
        )


def _check_both(counts: Sequence[int], fitting: Fitting) -> None:
    """Raise UsageError if there is something to train on or to validate on, and not both: verl begins with neither."""
    if any(counts) and not all(counts):
        raise UsageError(
            f"{fitting.mixture.folder} has too few rows for verl: {counts[0]} to train on, {counts[1]} to validate on",
            why=f"of its {fitting.mixture.rows} rows, {len(fitting.too_long)} may not fit into {MAX_TOKENS} tokens",
            fix="make a mixture with more rows",
        )


def _held_back(mixture: Mixture, wanted: int) -> frozenset[str]:
    keys = {row["key"] for row in mixture.records()}
    order = shuffled(keys, mixture.seed + 1)  # another order than that of the subset and its modes
    return frozenset(order[: max(1, min(wanted, len(keys) // 10))])


def _rows(rows: Iterable[Mapping[str, Any]], split: str, validation: frozenset[str]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for row in rows:
        if (row["key"] in validation) == (split == "val") and row["key"] not in seen:
            seen.add(row["key"])
            yield _row(row, split, len(seen) - 1)


def _row(row: Mapping[str, Any], split: str, index: int) -> dict[str, Any]:
    return {
        "data_source": f"safety_reasoning/{row['task']}",
        "prompt": row["prompt"],
        "ability": row["task"],
        "reward_model": {"style": "rule", "ground_truth": json.dumps({name: row[name] for name in _LABELS})},
        "extra_info": {"split": split, "index": index, "key": row["key"], "mode": row["mode"]},
    }


def _grpo(model: str) -> dict[str, Any]:
    """GRPO's settings over verl's own: where the paper gives a range, a value inside it.

    Appendix F: sampling temperature 0.6 to 1.4, learning rate 1e-6 to 1e-5, KL coefficient 0 to 0.03, 4 to 16
    roll-outs a prompt, 8 GPUs. Batch sizes are not given.
    """
    return {
        "hydra": {"searchpath": ["pkg://verl.trainer.config"]},
        "defaults": ["ppo_trainer", "_self_"],
        "data": {
            "train_files": _TRAIN,
            "val_files": _VALIDATION,
            "train_batch_size": 256,
            "max_prompt_length": MAX_TOKENS,
            "max_response_length": _REPLY_TOKENS,
            "truncation": "error",
        },
        "algorithm": {
            "adv_estimator": "grpo",
            "norm_adv_by_std_in_grpo": False,  # one label a prompt: it would cancel the harsher penalty
            "use_kl_in_reward": False,
        },
        "actor_rollout_ref": {
            "model": {"path": model, "enable_gradient_checkpointing": True, "use_remove_padding": True},
            "actor": {
                "optim": {"lr": 1.0e-6},
                "ppo_mini_batch_size": 64,
                "use_dynamic_bsz": True,
                "ppo_max_token_len_per_gpu": MAX_TOKENS + _REPLY_TOKENS,
                "use_kl_loss": True,
                "kl_loss_coef": 0.01,
                "kl_loss_type": "low_var_kl",
                "entropy_coeff": 0,
            },
            "rollout": {
                "name": "vllm",
                "n": 8,
                "temperature": 1.0,
                "tensor_model_parallel_size": 1,
                "gpu_memory_utilization": 0.6,
                "log_prob_use_dynamic_bsz": True,
                "val_kwargs": {"temperature": 0.6, "top_p": 0.95, "do_sample": True},
            },
            "ref": {"log_prob_use_dynamic_bsz": True},
        },
        "reward": {
            "custom_reward_function": {
                "path": _REWARD,
                "name": "compute_score",
                "reward_kwargs": {
                    "prompt_weight": reward.PROMPT_WEIGHT,
                    "response_weight": reward.RESPONSE_WEIGHT,
                    "missed_harm": reward.MISSED_HARM,
                    "false_alarm": reward.FALSE_ALARM,
                    "format_weight": reward.FORMAT_WEIGHT,
                },
            }
        },
        "trainer": {
            "nnodes": 1,
            "n_gpus_per_node": 8,
            "total_epochs": 1,
            "save_freq": 50,
            "test_freq": 10,
            "logger": ["console"],
            "project_name": "safety_reasoning",
            "experiment_name": "grpo",
        },
    }
