"""A mixture for LlamaFactory: its data, dataset_info.json, and the YAML of the paper's run (Appendix B).

Format: https://llamafactory.readthedocs.io, "Data Preparation" (sharegpt with the tags of OpenAI's messages).
"""

import json
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from safety_reasoning.errors import UsageError
from safety_reasoning.train.export import (
    MAX_TOKENS,
    MESSAGES,
    Exported,
    Fitting,
    exporting,
    finish,
    messages,
    open_for_export,
    write_parquet,
    write_zero_3,
)

DATASET = "guard_mixture"
_DATA, _INFO, _SFT, _DEEPSPEED, _START = "train.parquet", "dataset_info.json", "sft.yaml", "ds_z3.json", "train.sh"
_TEMPLATES = {"llama-3": "llama3", "gemma-3": "gemma3", "qwen3": "qwen3_nothink", "smollm2": "smollm2"}
"""LlamaFactory's templates of the models that recipes name, by a part of the model's name. That of Qwen3 adds an
empty trace to what has none; the mode is in the prompt, so `qwen3_nothink`, which adds nothing."""
_INFO_OF_DATA = {
    "file_name": _DATA,
    "formatting": "sharegpt",
    "columns": {"messages": "messages"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
        "system_tag": "system",
    },
}
_SCRIPT = """\
#!/usr/bin/env bash
# The paper's batch of 32 rows is 8 GPUs x 4; with fewer GPUs raise gradient_accumulation_steps in sft.yaml.
set -euo pipefail
cd "$(dirname "$0")"
# A prompt may hold these words; they are text here, not images.
export IMAGE_PLACEHOLDER="<|no image|>" VIDEO_PLACEHOLDER="<|no video|>" AUDIO_PLACEHOLDER="<|no audio|>"
FORCE_TORCHRUN=1 llamafactory-cli train sft.yaml
"""


def export_llamafactory(folder: Path, out: Path, *, model: str, template: str = "", epochs: float = 5.0) -> Exported:
    """Write the export of a mixture.

    Raises: UsageError if the mixture or the place cannot be used, or no template is known for the model.
    """
    mixture = open_for_export(folder, "LlamaFactory")
    settings = _sft(model, template or _template(model), epochs, mixture.seed)
    fitting = Fitting(mixture, [])
    with exporting(out) as new:
        rows = write_parquet(new / _DATA, pa.schema([("messages", MESSAGES)]), map(messages, fitting.rows()))
        (new / _INFO).write_text(json.dumps({DATASET: _INFO_OF_DATA}, indent=2) + "\n", encoding="utf-8")
        write_zero_3(new / _DEEPSPEED)
        (new / _SFT).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        (new / _START).write_text(_SCRIPT, encoding="utf-8")
        return finish(
            new, out, fitting, project="llamafactory", rows=rows, start=f"bash {shlex.quote(str(out / _START))}"
        )


def _template(model: str) -> str:
    found = next((name for part, name in _TEMPLATES.items() if part in model.lower()), None)
    if found is None:
        raise UsageError(
            f"no template of LlamaFactory is known for {model}",
            why=f"known are those of models whose name holds {', '.join(_TEMPLATES)}",
            fix="give its name with --template",
        )
    return found


def _sft(model: str, template: str, epochs: float, seed: int) -> dict[str, Any]:
    """The settings of the run: Appendix B names batch size, learning rate, schedule and epochs."""
    return {
        "model_name_or_path": model,
        "template": template,
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full",
        "deepspeed": _DEEPSPEED,
        "dataset": DATASET,
        "dataset_dir": ".",
        "cutoff_len": MAX_TOKENS,
        "output_dir": "output",
        "logging_steps": 10,
        "save_strategy": "epoch",
        "save_only_model": False,
        "plot_loss": True,
        "report_to": "none",
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1.0e-6,
        "num_train_epochs": epochs,
        "lr_scheduler_type": "cosine",
        "bf16": True,
        "seed": seed,
    }
