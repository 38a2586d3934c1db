"""A run of a training, of whatever method: from what is prepared to the guard's folder.

A run that is killed at any instant goes on from its last whole checkpoint, with the losses it would have had.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.errors import Stopped
from safety_reasoning.hub.release import TRAINING, read_json
from safety_reasoning.train.metrics import read_metrics
from safety_reasoning.train.model_folder import write_guard
from safety_reasoning.train.sft_lengths import Fitted, write_too_long
from safety_reasoning.train.training_arguments import processes
from safety_reasoning.train.training_folder import RunFolder, write_json
from safety_reasoning.train.training_prepare import Prepared
from safety_reasoning.train.training_progress import StopAsked, TrainingProgress

BuildTrainer = Callable[[StopAsked], Any]
"""A trainer of TRL that `StopAsked` can end."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A run that is finished."""

    folder: Path
    guard: Path
    steps: int
    lengths: dict[str, Any]
    before: bool
    """Whether an earlier run had finished it."""


def finished(folder: RunFolder) -> Trained | None:
    """The run, if an earlier one finished it."""
    if not (folder.guard / TRAINING).is_file():
        return None
    stated = read_json(folder.guard / TRAINING)
    return Trained(folder.path, folder.guard, stated["steps"], stated["lengths"], before=True)


def tune(prepared: Prepared, fitted: Fitted, build: BuildTrainer, progress: TrainingProgress) -> Trained:
    """Train, or go on from the last whole checkpoint, and write the guard.

    Raises: Stopped, with a checkpoint kept, if a stop was asked for; UsageError if another run is in the folder.
    """
    state = processes()
    state.wait_for_everyone()  # the others have looked at the folder
    with prepared.folder.held() if state.is_main_process else nullcontext():
        if state.is_main_process:
            _begin(prepared, fitted)
        state.wait_for_everyone()
        return _tune(prepared, fitted, build, progress)


def _tune(prepared: Prepared, fitted: Fitted, build: BuildTrainer, progress: TrainingProgress) -> Trained:
    state, folder, stop = processes(), prepared.folder, StopAsked()
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
        _finish(prepared, fitted, last)
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


def _finish(prepared: Prepared, fitted: Fitted, checkpoint: Path) -> None:
    """Write the figures, then the guard, whose folder says that the run is finished."""
    from safety_reasoning.train.metrics_plots import plot_loss

    folder = prepared.folder
    plot_loss(folder.path / "plots" / "loss.png", read_metrics(folder.metrics))
    write_guard(prepared, fitted, checkpoint)
