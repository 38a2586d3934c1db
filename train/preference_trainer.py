"""What of DPO and GRPO needs the training libraries to be there: a trainer, and the callback that keeps metrics.

Imports torch, transformers and TRL as it is read; whoever uses it imports it where it is used.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch.utils.data import Sampler
from transformers import TrainerControl, TrainerState, TrainingArguments
from trl.trainer.grpo_trainer import GRPOTrainer

from safety_reasoning.train.metrics import line_of
from safety_reasoning.train.sft_trainer import MetricsFile

_NAMES = {
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
"""TRL's names, and ours."""


def tuned_line(step: int, logged: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a trainer's log is kept of a step, under our names."""
    return {**line_of(step, logged), **{new: logged[old] for old, new in _NAMES.items() if old in logged}}


class TunedMetrics(MetricsFile):
    """Writes what a preference trainer logs."""

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
                file.write(json.dumps(tuned_line(state.global_step, logs)) + "\n")


class EpochSampler(Sampler[int]):
    """TRL's sampler of groups, whose order follows from the seed and the epoch.

    TRL's own (1.16) follows from how many epochs the process has seen, so that a run which goes on within its second
    epoch asks some prompts of the first one again and others never.
    """

    def __init__(self, groups: Any, epoch: Callable[[], int]) -> None:
        self._groups = groups
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self._groups.generator.manual_seed(self._groups.seed + self._epoch())
        yield from self._groups

    def __len__(self) -> int:
        return len(self._groups)


class GoingOn(GRPOTrainer):
    """A GRPO trainer that goes on from a checkpoint with the prompts that it would have had."""

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        return EpochSampler(super()._get_train_sampler(dataset), lambda: int(self.state.epoch or 0))
