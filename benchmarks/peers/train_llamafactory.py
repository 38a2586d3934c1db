"""Run by a Python that has LlamaFactory: full fine-tuning on an export, measured.

The one argument is JSON: the fields of `Case` (benchmarks/train_speed/case.py), `mixture` being an export of
`train export llamafactory`, and `warm`, the steps that are not measured. The last line of stdout is JSON.
"""
# pyright: reportMissingImports=false

import importlib.util
import json
import os
import sys
import time
import types
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import TrainerCallback


class _Enough(Exception):
    """All steps are measured."""


class _Watch(TrainerCallback):
    """When each step ended, and how many tokens had been seen."""

    def __init__(self, last: int) -> None:
        self._last = last
        self.ended: dict[int, tuple[float, int]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note it."""
        self.ended[state.global_step] = (time.monotonic(), state.num_input_tokens_seen)
        if state.global_step == self._last:
            raise _Enough


def main(case: dict[str, Any]) -> None:
    """Train, and print."""
    if importlib.util.find_spec("torchaudio") is None:  # LlamaFactory imports it; it has no build for the CPU
        sys.modules["torchaudio"] = types.ModuleType("torchaudio")
    from llamafactory.train.tuner import run_exp

    os.chdir(case["mixture"])
    gpu = torch.cuda.is_available()
    settings = yaml.safe_load(Path("sft.yaml").read_text(encoding="utf-8")) | {
        "deepspeed": None,
        "output_dir": case["out"],
        "overwrite_output_dir": True,
        "cutoff_len": case["max_tokens"],
        "packing": case["packing"],
        "neat_packing": case["packing"],
        "enable_liger_kernel": case["liger"],
        "max_steps": case["steps"] + 1,
        "per_device_train_batch_size": case["at_once"],
        "gradient_accumulation_steps": case["batch"] // case["at_once"],
        "bf16": gpu,
        "use_cpu": not gpu,
        "upcast_layernorm": False,
        "pure_bf16": False,
        "include_num_input_tokens_seen": "all",  # its masks of packed rows are no counts; a pack's padding counts too
        "plot_loss": False,
        "save_strategy": "no",
    }
    watch = _Watch(case["steps"])
    with suppress(_Enough):
        run_exp(settings, [watch])
    (began, before), (ended, after) = watch.ended[case["warm"]], watch.ended[case["steps"]]
    peak = torch.cuda.max_memory_allocated() / 2**30 if gpu else None
    print(json.dumps({"tokens": after - before, "seconds": ended - began, "peak_gib": peak}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
