"""One run of a training that is no SFT: the folder, checkpoints, figures and guard are those of `train sft`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safety_reasoning.cards.model import render_model_card
from safety_reasoning.errors import Stopped
from safety_reasoning.hub.release import TRAINING, read_json
from safety_reasoning.place import replaced
from safety_reasoning.train.metrics import read_metrics
from safety_reasoning.train.model_folder import write_guard
from safety_reasoning.train.sft import Trained
from safety_reasoning.train.sft_arguments import processes
from safety_reasoning.train.sft_lengths import Fitted, write_too_long
from safety_reasoning.train.sft_prepare import Prepared
from safety_reasoning.train.sft_progress import StopAsked, TrainingProgress
from safety_reasoning.train.sft_run import RunFolder, write_json

if TYPE_CHECKING:
    from trl.trainer.sft_config import SFTConfig

BuildTrainer = Callable[[StopAsked], Any]
"""A trainer of TRL that `StopAsked` can end."""
_SHARED = (
    *("output_dir", "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm"),
    *("gradient_checkpointing", "bf16", "use_cpu", "ddp_find_unused_parameters", "use_liger_kernel"),
    *("seed", "data_seed", "save_steps", "save_total_limit", "logging_steps", "logging_nan_inf_filter"),
    *("report_to", "disable_tqdm", "dataloader_pin_memory", "project", "trackio_static_space_id"),
)
"""Settings that TRL's trainers have in common and the recipe decides."""


def shared_settings(config: "SFTConfig") -> dict[str, Any]:
    """What a recipe says to every trainer, as `sft_arguments` put it."""
    return {name: getattr(config, name) for name in _SHARED}


def finished(folder: RunFolder) -> Trained | None:
    """The run, if an earlier one finished it."""
    if not (folder.guard / TRAINING).is_file():
        return None
    lengths = read_json(folder.guard / TRAINING)["lengths"]
    return Trained(folder.path, folder.guard, folder.steps_done(), lengths, before=True)


def tune(
    prepared: Prepared, fitted: Fitted, build: BuildTrainer, progress: TrainingProgress, *, method: str
) -> Trained:
    """Train, or go on from the last whole checkpoint, and write the guard.

    Raises: Stopped, with a checkpoint kept, if a stop was asked for.
    """
    state, folder, stop = processes(), prepared.folder, StopAsked()
    state.wait_for_everyone()  # the others have looked at the folder
    if state.is_main_process:
        _begin(prepared, fitted)
    state.wait_for_everyone()
    checkpoint = folder.last_checkpoint()
    trainer = build(stop)
    progress.stage("training" if checkpoint is None else f"going on from {checkpoint.name}")
    with stop.listening():
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    done, of = trainer.state.global_step, trainer.state.max_steps
    if done < of:
        raise Stopped(f"stopped at step {done} of {of}; run the same command again to go on")
    last = folder.last_checkpoint()
    if state.is_main_process and last is not None:
        progress.stage("writing the guard")
        _finish(prepared, fitted, last, method)
    state.wait_for_everyone()
    return Trained(folder.path, folder.guard, done, fitted.summary(), before=False)


def _begin(prepared: Prepared, fitted: Fitted) -> None:
    """Write what is known before the first step."""
    from safety_reasoning.train.metrics_plots import plot_lengths

    folder = prepared.folder
    folder.begin(prepared.run)
    write_json(folder.path / "lengths.json", fitted.summary())
    write_too_long(folder.path / "left_out" / "too_long.parquet", fitted.too_long)
    plot_lengths(
        folder.path / "plots" / "lengths.png",
        [len(row.prompt) for row in fitted.rows],
        [len(row.completion) for row in fitted.rows],
        fitted.max_tokens,
    )


def _finish(prepared: Prepared, fitted: Fitted, checkpoint: Path, method: str) -> None:
    """Write the figures, then the guard."""
    from safety_reasoning.train.metrics_plots import plot_loss

    folder = prepared.folder
    plot_loss(folder.path / "plots" / "loss.png", read_metrics(folder.metrics))
    aside = RunFolder(folder.path / ".making")  # a guard's folder says that the run is finished: it appears whole
    write_guard(dataclasses.replace(prepared, folder=aside), fitted, checkpoint)
    training = read_json(aside.guard / TRAINING) | {"method": method}
    write_json(aside.guard / TRAINING, training)
    (aside.guard / "README.md").write_text(render_model_card(training, None), encoding="utf-8")
    with replaced(folder.guard, marker=TRAINING, what="guard") as new:
        new.rmdir()
        aside.guard.rename(new)
    aside.path.rmdir()
