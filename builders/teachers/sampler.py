"""Sampling of a batch whose calls have a seed, a temperature and a limit each.

transformers samples a whole batch from one generator and by one configuration. Here each row's token is chosen before
`generate` looks: the row's scores go through transformers' own warpers, and the token with the largest probability
divided by exponential noise of the row's own generator is a sample of them. `generate` is left one choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from safety_reasoning.builders.calls import Request
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.errors import UsageError

PASSED = frozenset({"top_k", "min_p", "chat_template_kwargs"})
"""Fields of `extra_body` that the engine knows."""


@dataclass(slots=True)
class Drawn:
    """One token of a row: itself and the likeliest in its place, by their log probabilities before any warping."""

    token: int
    logprob: float
    others: list[tuple[int, float]]


@dataclass(slots=True)
class Row:
    """One call of a batch, while it is answered."""

    request: Request
    limit: int
    """Tokens that it may have."""
    warpers: list[Callable[..., Any]]
    generator: Any = None
    drawn: list[Drawn] = field(default_factory=list)


def row_of(request: Request, limit: int) -> Row:
    """The row of a request; raises UsageError for a field of `extra_body` that would have no effect."""
    return Row(request, limit, warpers_of(request.sampling))


def warpers_of(sampling: Sampling) -> list[Callable[..., Any]]:
    """What changes a row's scores before a token is drawn; none where it is greedy.

    Raises: UsageError naming a field of `extra_body` that would have no effect here.
    """
    from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    unknown = sorted(sampling.extra_body.keys() - PASSED)
    if unknown:
        raise UsageError(
            f"the transformers engine does not know extra_body.{unknown[0]}",
            why=f"it knows {', '.join(sorted(PASSED))}",
            fix="remove it, or serve the model and ask it with engine = 'openai'",
        )
    if sampling.temperature == 0:
        return []
    warpers: list[Callable[..., Any]] = [TemperatureLogitsWarper(float(sampling.temperature))]
    if (top_k := int(sampling.extra_body.get("top_k") or 0)) > 0:
        warpers.append(TopKLogitsWarper(top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(float(sampling.top_p)))
    if (min_p := float(sampling.extra_body.get("min_p") or 0)) > 0:
        warpers.append(MinPLogitsWarper(min_p))
    return warpers


class Sampler:
    """Chooses the next token of every row; a logits processor of `generate`."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores that leave one choice: (batch, vocabulary)."""
        import torch

        chosen = torch.stack([self._choose(row, input_ids[n], scores[n].float()) for n, row in enumerate(self._rows)])
        self._note(scores, chosen.tolist())
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen.unsqueeze(1), 0.0)

    def _choose(self, row: Row, ids: Any, scores: Any) -> Any:
        """A token's id, on the device."""
        import torch

        if not row.warpers:
            return scores.argmax()
        if row.generator is None:
            row.generator = torch.Generator(scores.device).manual_seed(row.request.seed % 2**63)
        warped = scores.unsqueeze(0)
        for warper in row.warpers:
            warped = warper(ids.unsqueeze(0), warped)
        noise = torch.empty_like(warped).exponential_(generator=row.generator)
        return (warped.softmax(-1) / noise).argmax()

    def _note(self, scores: Any, chosen: Sequence[int]) -> None:
        for n, row in enumerate(self._rows):
            if not row.request.logprobs:
                continue
            logs = scores[n].float().log_softmax(-1)
            most = logs.topk(min(row.request.logprobs, logs.shape[-1]))
            pairs = list(zip(most.indices.tolist(), most.values.tolist(), strict=True))
            row.drawn.append(Drawn(chosen[n], float(logs[chosen[n]]), pairs))


class Limits:
    """Ends each row at its own limit, and all of them when nobody waits; a stopping criterion of `generate`."""

    def __init__(self, rows: Sequence[Row], start: int, given_up: Callable[[], bool]) -> None:
        self._rows, self._start, self._given_up = rows, start, given_up

    def __call__(self, input_ids: Any, scores: Any, **options: Any) -> Any:
        """Which rows are at their end: (batch,)."""
        import torch

        made = input_ids.shape[1] - self._start
        over = self._given_up()
        return torch.tensor([over or made >= row.limit for row in self._rows], device=input_ids.device)
