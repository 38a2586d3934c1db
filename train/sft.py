"""Supervised fine-tuning of a guard with TRL: a mixture and a model become a folder that can be served and pushed.

A run that is killed at any instant goes on from its last whole checkpoint, with the losses it would have had.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from safety_reasoning.errors import Stopped
from safety_reasoning.hub.release import TRAINING, read_json
from safety_reasoning.train.metrics import read_metrics, reporters
from safety_reasoning.train.model_folder import write_guard
from safety_reasoning.train.sft_arguments import lora_config, processes, weights_dtype
from safety_reasoning.train.sft_lengths import Fitted, write_too_long
from safety_reasoning.train.sft_prepare import Prepared, prepare, read_rows
from safety_reasoning.train.sft_progress import StopAsked, TrainingProgress
from safety_reasoning.train.sft_recipe import SftRecipe, TrainRecipe
from safety_reasoning.train.sft_rows import Tokens
from safety_reasoning.train.sft_run import write_json


@dataclass(frozen=True, slots=True)
class Trained:
    """A run that is finished."""

    folder: Path
    guard: Path
    steps: int
    lengths: dict[str, Any]
    before: bool
    """Whether an earlier run had finished it."""


def train_guard(recipe: TrainRecipe, progress: TrainingProgress) -> Trained:
    """Train the recipe's guard, or go on with it.

    Raises: UsageError if it cannot be trained; Stopped, with a checkpoint kept, if a stop was asked for.
    """
    prepared = prepare(recipe, progress)
    folder = prepared.folder
    if (folder.guard / TRAINING).is_file():
        lengths = read_json(folder.guard / TRAINING)["lengths"]
        return Trained(folder.path, folder.guard, folder.steps_done(), lengths, before=True)
    fitted = read_rows(prepared, progress)
    checkpoint = _begin(prepared, fitted)
    trainer, stop = _trainer(prepared, fitted, progress)
    progress.stage("training" if checkpoint is None else f"going on from {checkpoint.name}")
    with stop.listening():
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    done, of = trainer.state.global_step, trainer.state.max_steps
    if done < of:
        raise Stopped(f"stopped at step {done} of {of}; run the same command again to go on")
    _finish(prepared, fitted, progress)
    return Trained(folder.path, folder.guard, done, fitted.summary(), before=False)


def _begin(prepared: Prepared, fitted: Fitted) -> Path | None:
    """Write what is known before the first step; the checkpoint to go on from."""
    from safety_reasoning.train.metrics_plots import plot_lengths

    state, folder = processes(), prepared.folder
    state.wait_for_everyone()  # the others have looked at the folder
    if state.is_main_process:
        folder.begin(prepared.run)
        write_json(folder.path / "lengths.json", fitted.summary())
        write_too_long(folder.path / "left_out" / "too_long.parquet", fitted.too_long)
        plot_lengths(
            folder.path / "plots" / "lengths.png",
            [len(row.prompt) for row in fitted.rows],
            [len(row.completion) for row in fitted.rows],
            fitted.max_tokens,
        )
    state.wait_for_everyone()
    return folder.last_checkpoint()


def _trainer(prepared: Prepared, fitted: Fitted, progress: TrainingProgress) -> tuple[Any, StopAsked]:
    """The trainer of a run, and what it is stopped by."""
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    from safety_reasoning.train.sft_trainer import MetricsFile, Steps, WeightedCollator, WeightedTrainer

    recipe, tokenizer, stop = prepared.recipe.sft, prepared.base.tokenizer, StopAsked()
    model = prepared.base.weights(weights_dtype(recipe, prepared.devices))
    _freeze(model, recipe)
    options: dict[str, Any] = {
        "model": model,
        "args": prepared.config,
        "train_dataset": _dataset(fitted.rows, recipe),
        "processing_class": tokenizer,
        "peft_config": lora_config(recipe, prepared.layers),
        "callbacks": [
            Steps(progress, stop),
            MetricsFile(prepared.folder.metrics),
            *reporters(recipe.report_to, prepared.folder.path),
        ],
    }
    if recipe.verdict_weight == 1.0:
        trainer = SFTTrainer(**options)
    else:
        trainer = WeightedTrainer(data_collator=WeightedCollator(pad_token_id=tokenizer.pad_token_id), **options)
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    return trainer, stop


def _freeze(model: Any, recipe: SftRecipe) -> None:
    """Leave only the last layers, and the norm after them, to be trained; adapters choose their layers themselves."""
    if recipe.train_layers is None or recipe.lora is not None:
        return
    model.requires_grad_(False)
    decoder = model.get_decoder()
    for layer in decoder.layers[-recipe.train_layers :]:
        layer.requires_grad_(True)
    decoder.norm.requires_grad_(True)


def _dataset(rows: Iterable[Tokens], recipe: SftRecipe) -> Any:
    """The rows as the trainer reads them, 4 bytes a token and column."""
    from datasets import Dataset

    types = {"input_ids": pa.int32(), "labels": pa.int32()}
    if recipe.verdict_weight != 1.0:
        types["weights"] = pa.float32()
    schema = pa.schema([(name, pa.list_(kind)) for name, kind in types.items()])
    columns = (row.columns(recipe.verdict_weight) for row in rows)
    batches = (pa.RecordBatch.from_pylist([{name: row[name] for name in types}], schema=schema) for row in columns)
    return Dataset(pa.Table.from_batches(batches, schema=schema).combine_chunks())


def _finish(prepared: Prepared, fitted: Fitted, progress: TrainingProgress) -> None:
    """Write the guard and the figures, from the last checkpoint and the metrics."""
    from safety_reasoning.train.metrics_plots import plot_loss

    state, folder = processes(), prepared.folder
    checkpoint = folder.last_checkpoint()
    if state.is_main_process and checkpoint is not None:
        progress.stage("writing the guard")
        plot_loss(folder.path / "plots" / "loss.png", read_metrics(folder.metrics))
        write_guard(prepared, fitted, checkpoint)
    state.wait_for_everyone()
