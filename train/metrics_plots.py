"""Figures of a run: the loss by step, and how many tokens its rows have."""

from collections.abc import Sequence
from pathlib import Path

from safety_reasoning.train.metrics import Line

_SIZE = (7.0, 4.0)
"""Inches."""


def plot_loss(path: Path, lines: Sequence[Line]) -> None:
    """The loss of each logged step, and the learning rate below it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    steps = [line["step"] for line in lines]
    upper.plot(steps, [line["loss"] for line in lines], linewidth=1)
    upper.set_ylabel("loss")
    lower.plot(steps, [line["learning_rate"] for line in lines], linewidth=1)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("step")
    _save(figure, path)


def plot_lengths(path: Path, prompts: Sequence[int], completions: Sequence[int], max_tokens: int) -> None:
    """Rows by the tokens of their prompt and of their completion, and the limit of the two together."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.hist([list(prompts), list(completions)], bins=40, label=["prompt", "completion"])
    axes.axvline(max_tokens, color="black", linewidth=1, linestyle="--", label=f"max_tokens = {max_tokens}")
    axes.set_xlabel("tokens")
    axes.set_ylabel("rows")
    axes.legend()
    _save(figure, path)


def _save(figure: object, path: Path) -> None:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)  # noqa: S101 - matplotlib is imported late
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
