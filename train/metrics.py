"""The metrics of a run, one JSON object a line, and who else is told them."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError

Line = Mapping[str, Any]
"""`step`, and what was logged at it: loss, grad_norm, learning_rate, epoch, and tokens so far, padding not counted."""
_NAMES = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
    "num_input_tokens_seen": "tokens",
    "mean_token_accuracy": "token_accuracy",
    "entropy": "entropy",
    "rewards/chosen": "reward_chosen",
    "rewards/rejected": "reward_rejected",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "reward": "reward",
    "reward_std": "reward_std",
    "frac_reward_zero_std": "groups_alike",
    "kl": "kl",
    "right": "right",
    "missed_harm": "missed_harm",
    "false_alarm": "false_alarm",
    "unparsed": "unparsed",
    "well_formed": "well_formed",
    "completions/mean_length": "reply_tokens",
    "completions/clipped_ratio": "truncated",
}
"""TRL's names, and ours: of every method, then of DPO, then of GRPO."""


def line_of(step: int, logged: Mapping[str, Any]) -> Line:
    """What of a trainer's log is kept of a step, under our names."""
    return {"step": step} | {new: logged[old] for old, new in _NAMES.items() if old in logged}


def read_metrics(path: Path) -> list[Line]:
    """Every whole line of the file; what follows one that was cut off is left out."""
    lines: list[Line] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines


def check_reporters(names: Sequence[str]) -> None:
    """Raise UsageError if one of them is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"{name} is not installed", why="`report_to` names it", fix=f"pip install {name}")


def reporters(names: Sequence[str], folder: Path) -> list[Any]:
    """Callbacks that tell them, all on this machine.

    TensorBoard's files are in the run's folder, trackio's where it keeps them.
    """
    found: list[Any] = []
    if "tensorboard" in names:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback

        found.append(TensorBoardCallback(SummaryWriter(str(folder / "tensorboard"))))
    if "trackio" in names:
        from transformers.integrations.integration_utils import TrackioCallback

        found.append(TrackioCallback())
    return found
