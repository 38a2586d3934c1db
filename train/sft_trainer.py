"""The trainer of supervised fine-tuning and its collator.

Imports torch and TRL as it is read; whoever uses it imports it where it is used.
"""

from dataclasses import dataclass
from typing import Any

import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from safety_reasoning.train.loss import weighted_nll
from safety_reasoning.train.sft_rows import IGNORED


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
