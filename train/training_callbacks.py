"""What a trainer of any method tells while it runs: progress, whole checkpoints, metrics.

Imports transformers as it is read; whoever uses it imports it where it is used.
"""

import json
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from safety_reasoning.train.metrics import line_of, read_metrics
from safety_reasoning.train.training_folder import COMPLETE, write_json
from safety_reasoning.train.training_progress import StopAsked, TrainingProgress, step_note


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
