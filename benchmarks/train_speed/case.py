"""One training, measured: run by train_gpu.py as a process of its own, so that each begins with an empty GPU.

The one argument is a `Case` as JSON; the last line of stdout is what was measured.
"""

import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safety_reasoning.builders.progress import Silent
from safety_reasoning.train.metrics import read_metrics
from safety_reasoning.train.sft import train_guard
from safety_reasoning.train.sft_recipe import ModelRecipe, SftRecipe, TrainRecipe
from safety_reasoning.train.training_quiet import quiet

WARM = 3
"""Steps that are not measured: kernels are compiled and memory is found in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is trained, by whom."""

    who: str
    """ours, trl, or llamafactory."""
    model: str
    mixture: str
    out: str
    packing: bool
    liger: bool
    steps: int
    batch: int
    at_once: int
    """Sequences of a forward pass."""
    max_tokens: int


class Enough(Exception):
    """All steps are measured; nothing is saved, since a checkpoint of the large shape has 100 GB."""


@dataclass(slots=True)
class Steps(Silent):
    """When each step ended; a `TrainingProgress` that ends the training at the last one that is measured."""

    last: int
    ended: dict[int, float] = field(default_factory=dict)

    def step(self, done: int, of: int, note: str) -> None:
        """See `TrainingProgress`."""
        self.ended[done] = time.monotonic()
        if done == self.last + 1:  # the metrics of a step are written after it is told of
            raise Enough


def measured(ended: dict[int, float], tokens: dict[int, int], last: int) -> dict[str, Any]:
    """Tokens, without padding, and seconds of the steps after the warm ones."""
    return {"tokens": tokens[last] - tokens[WARM], "seconds": ended[last] - ended[WARM], "peak_gib": _peak_gib()}


def _peak_gib() -> float | None:
    import torch

    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None


def ours(case: Case) -> dict[str, Any]:
    """The project's own training."""
    recipe = TrainRecipe(
        model=ModelRecipe(base=case.model, name="Speed", license="apache-2.0"),
        sft=SftRecipe(
            out=case.out,
            mixture=case.mixture,
            max_steps=case.steps + 2,
            batch_size=case.batch,
            device_batch_size=case.at_once,
            max_tokens=case.max_tokens,
            packing=case.packing,
            liger="on" if case.liger else "off",
            save_every=10**6,
        ),
    )
    steps = Steps(case.steps)
    with suppress(Enough):
        train_guard(recipe, steps)
    lines = read_metrics(Path(case.out) / "metrics.jsonl")
    return measured(steps.ended, {line["step"]: line["tokens"] for line in lines}, case.steps)


def trl(case: Case) -> dict[str, Any]:
    """TRL's trainer as its documentation uses it, on the same rows with the same settings."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    steps, tokens = Steps(case.steps), dict[int, int]()

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            tokens[state.global_step] = state.num_input_tokens_seen
            steps.step(state.global_step, state.max_steps, "")

    gpu = torch.cuda.is_available()
    data = Dataset.from_parquet(str(Path(case.mixture) / "data" / "*.parquet"), cache_dir=f"{case.out}/cache")
    config = SFTConfig(
        output_dir=case.out,
        max_steps=case.steps + 2,
        per_device_train_batch_size=case.at_once,
        gradient_accumulation_steps=case.batch // case.at_once,
        learning_rate=1e-6,
        lr_scheduler_type="cosine",
        max_length=case.max_tokens,
        packing=case.packing,
        bf16=gpu,
        use_cpu=not gpu,
        use_liger_kernel=case.liger,
        gradient_checkpointing=True,
        include_num_input_tokens_seen="non_padding",
        model_init_kwargs={"dtype": "float32"},
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(case.model, args=config, train_dataset=data.select_columns(["prompt", "completion"]))
    trainer.add_callback(Watch())
    with suppress(Enough):
        trainer.train()
    return measured(steps.ended, tokens, case.steps)


if __name__ == "__main__":
    quiet()
    given = Case(**json.loads(sys.argv[1]))
    print(json.dumps({"ours": ours, "trl": trl}[given.who](given)))
