"""What of a training needs the training libraries to be there: the trainer, its collator, its callbacks.

Imports torch, transformers and TRL as it is read; whoever uses it imports it where it is used.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from safety_reasoning.train.loss import weighted_nll
from safety_reasoning.train.metrics import line_of, read_metrics
from safety_reasoning.train.sft_progress import StopAsked, TrainingProgress, step_note
from safety_reasoning.train.sft_rows import IGNORED
from safety_reasoning.train.sft_run import COMPLETE, write_json


@dataclass
class WeightedCollator(DataCollatorForLanguageModeling):
    """Pads a batch to its longest row; weights are padded with 0."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch, with `weights` (batch, seq)."""
        batch: dict[str, Any] = super().torch_call(examples)
        weights = torch.zeros(batch["labels"].shape)
        for place, example in enumerate(examples):
            weights[place, : len(example["weights"])] = torch.tensor(example["weights"])
        return batch | {"weights": weights}


class WeightedTrainer(SFTTrainer):
    """An SFT trainer whose loss counts each token by its weight."""

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["input_ids", "labels", "weights"]

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The loss of one part of a batch, over the tokens of the whole batch.

        Logits are computed from the batch's first label on, which spares most of a prompt.
        """
        labels, weights = inputs["labels"], inputs["weights"]
        length = labels.shape[1]
        taught = (labels != IGNORED).any(dim=0).nonzero()
        first = max(int(taught[0, 0]) - 1, 0) if len(taught) else length - 1
        output = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
            logits_to_keep=length - first,
        )
        tokens = (labels != IGNORED).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        loss = weighted_nll(output.logits, labels[:, first:], weights[:, first:], tokens)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP takes the mean over them
        return (loss, output) if return_outputs else loss


class Steps(TrainerCallback):
    """Tells progress, stops where a stop is asked for, and marks checkpoints that are whole."""

    def __init__(self, progress: TrainingProgress, stop: StopAsked) -> None:
        self._progress = progress
        self._stop = stop
        self._began = (0, 0.0, 0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note when it began, and at which step."""
        self._began = (state.global_step, time.monotonic(), state.num_input_tokens_seen)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Tell how far it is, and stop if that was asked for."""
        if state.is_world_process_zero:
            step, then, tokens = self._began
            note = step_note(
                steps=state.global_step - step,
                left=state.max_steps - state.global_step,
                tokens=state.num_input_tokens_seen - tokens,
                seconds=time.monotonic() - then,
                loss=next((line["loss"] for line in reversed(state.log_history) if "loss" in line), None),
            )
            self._progress.step(state.global_step, state.max_steps, note)
        if self._stop.asked_of_any():
            control.should_save = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Mark the checkpoint, of which all is written now."""
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
            write_json(folder / COMPLETE, {"step": state.global_step})


class MetricsFile(TrainerCallback):
    """Writes what the trainer logs; the lines after the step that a run goes on from are removed first."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the lines up to the step that the run goes on from."""
        if state.is_world_process_zero:
            kept = [line for line in read_metrics(self._path) if line["step"] <= state.global_step]
            self._path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the line of a step; the summary at the end has no loss of a step and is left out."""
        if state.is_world_process_zero and logs is not None and "loss" in logs:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line_of(state.global_step, logs)) + "\n")
