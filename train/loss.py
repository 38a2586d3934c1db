"""Losses over the tokens of a completion."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def weighted_nll(
    logits: "torch.Tensor", labels: "torch.Tensor", weights: "torch.Tensor", tokens: "torch.Tensor | int"
) -> "torch.Tensor":
    """Sum of each token's negative log-likelihood times its weight, over `tokens`.

    `logits` (batch, seq, vocabulary) stand at the position before the token that they predict; `labels` and `weights`
    (batch, seq) at the token itself, -100 where there is nothing to learn. `tokens` counts the labels of the whole
    batch that one step is made of, so that a batch in parts sums up to the batch in one.
    """
    import torch.nn.functional as F

    from safety_reasoning.train.sft_rows import IGNORED

    nll = F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="none"
    )
    return (nll * weights[:, 1:].flatten()).sum() / tokens
