"""A mixture for Axolotl: its data, and a YAML with the paper's hyper-parameters (Appendix B).

Format: https://docs.axolotl.ai, "Conversation" (type chat_template) and "Config Reference".
"""

import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

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

_DATA, _SFT, _DEEPSPEED = "train.parquet", "sft.yaml", "ds_z3.json"


def export_axolotl(folder: Path, out: Path, *, model: str, epochs: float = 5.0) -> Exported:
    """Write the export of a mixture.

    Raises: UsageError if the mixture or the place cannot be used.
    """
    mixture = open_for_export(folder, "Axolotl")
    fitting = Fitting(mixture, [])
    settings = _sft(model, epochs, mixture.seed)
    with exporting(out) as new:
        rows = write_parquet(new / _DATA, pa.schema([("messages", MESSAGES)]), map(messages, fitting.rows()))
        write_zero_3(new / _DEEPSPEED)
        (new / _SFT).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        start = f"cd {shlex.quote(str(out))} && axolotl train {_SFT}"
        return finish(new, out, fitting, project="axolotl", rows=rows, start=start)


def _sft(model: str, epochs: float, seed: int) -> dict[str, Any]:
    """The settings of the run; 8 GPUs x 4 rows are the paper's batch of 32."""
    return {
        "base_model": model,
        "datasets": [
            {
                "path": _DATA,
                "ds_type": "parquet",
                "type": "chat_template",
                "field_messages": "messages",
                "message_property_mappings": {"role": "role", "content": "content"},
                "roles_to_train": ["assistant"],
                "train_on_eos": "turn",
            }
        ],
        "chat_template": "tokenizer_default",
        "train_on_inputs": False,
        "sequence_len": MAX_TOKENS,
        "output_dir": "output",
        "deepspeed": _DEEPSPEED,
        "micro_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "num_epochs": epochs,
        "learning_rate": 1.0e-6,
        "lr_scheduler": "cosine",
        "optimizer": "adamw_torch_fused",
        "bf16": True,
        "gradient_checkpointing": True,
        "save_strategy": "epoch",
        "logging_steps": 10,
        "seed": seed,
    }
