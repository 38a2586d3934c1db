"""What of GRPO needs the training libraries to be there: its trainer.

Imports torch and TRL as it is read; whoever uses it imports it where it is used.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import Sampler
from trl.trainer.grpo_trainer import GRPOTrainer


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
