"""Supervised fine-tuning of a guard with TRL: a mixture and a model become a folder that can be served and pushed."""

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from safety_reasoning.train.metrics import reporters
from safety_reasoning.train.sft_lengths import Fitted
from safety_reasoning.train.sft_recipe import SftRecipe, TrainRecipe
from safety_reasoning.train.sft_rows import Tokens
from safety_reasoning.train.training import Trained, finished, tune
from safety_reasoning.train.training_arguments import lora_config, weights_dtype
from safety_reasoning.train.training_prepare import Prepared, prepare, read_rows
from safety_reasoning.train.training_progress import StopAsked, TrainingProgress


def train_guard(recipe: TrainRecipe, progress: TrainingProgress) -> Trained:
    """Train the recipe's guard, or go on with it.

    Raises: UsageError if it cannot be trained; Stopped, with a checkpoint kept, if a stop was asked for.
    """
    prepared = prepare(recipe, progress)
    if (before := finished(prepared.folder)) is not None:
        return before
    fitted = read_rows(prepared, progress)
    return tune(prepared, fitted, lambda stop: _trainer(prepared, fitted, progress, stop), progress)


def _trainer(prepared: Prepared, fitted: Fitted, progress: TrainingProgress, stop: StopAsked) -> Any:
    """TRL's trainer."""
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    from safety_reasoning.train.sft_trainer import WeightedCollator, WeightedTrainer
    from safety_reasoning.train.training_callbacks import MetricsFile, Steps

    recipe, tokenizer = prepared.recipe.sft, prepared.base.tokenizer
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
    return trainer


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
