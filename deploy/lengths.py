"""How many tokens a guard is given for an answer: from what it used in runs, or a stated default."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from safety_reasoning.builders.calls import Status
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.item import Subject
from safety_reasoning.eval.runs.folder import Run, read_run
from safety_reasoning.printable import printable

UNMEASURED = {True: 1024, False: 64}
"""By whether the guard reasons: an efficient trace has tens of tokens, a full one hundreds; a verdict about 15."""
TOPIC_TOKENS = 16
"""More than `off-topic` has bytes, so no tokenizer cuts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A token limit and where it comes from."""

    max_tokens: int
    replies: int = 0
    """How many it was measured on; 0: it is the default."""
    models: tuple[str, ...] = ()
    """Whose they are, as the runs name them: whether that is the guard that is deployed, its reader can tell."""
    quantile: float | None = None
    margin: float | None = None
    at_quantile: int | None = None
    """Tokens of trace and answer at the quantile."""
    longest: int | None = None

    @property
    def reason(self) -> str:
        """Where it comes from, in a line."""
        if not self.replies:
            return f"{self.max_tokens}: the default, not measured (give --run)"
        return (
            f"{self.max_tokens}: {self.at_quantile} tokens of trace and answer at the quantile {self.quantile:g} of "
            f"{self.replies} replies of {' and '.join(map(printable, self.models))} (longest {self.longest}), "
            f"and {self.margin:.0%} more"
        )


def default_allowance(*, reasoning: bool) -> Allowance:
    """What is allowed where no run says how long answers are."""
    return Allowance(max_tokens=UNMEASURED[reasoning])


def measured_allowance(runs: Sequence[Path], *, reasoning: bool, quantile: float, margin: float) -> Allowance:
    """The limit from the tokens of trace and answer in the runs' replies to prompts and responses.

    Raises: UsageError if there is no such reply, if none has the trace that is wanted, or if so many were cut that the
        quantile is not known.
    """
    names = ", ".join(str(run) for run in runs)
    read = [read_run(run) for run in runs]
    rows = _counted(read)
    if not rows.height:
        raise UsageError(
            f"no reply in {names} says how long it is",
            why="there is none to a prompt or a response, or its server counts no tokens",
            fix="give a run of content-safety tasks, or none: the default is stated",
        )
    if reasoning and not rows["trace_tokens"].sum():
        raise UsageError(
            f"no reply in {names} has a trace",
            why="the guard is exported to reason, and would be cut off at the length of a bare verdict",
            fix="give a run in which it reasons, or export it with --no-reasoning",
        )
    cut = rows.filter(pl.col("status") == Status.TRUNCATED.value).height / rows.height
    if cut > 1 - quantile:
        raise UsageError(
            f"the runs cut {cut:.1%} of their replies",
            why=f"they met the runs' own token limit, so the length at the quantile {quantile:g} is not known",
            fix="run again with a larger max_tokens, or give a smaller --quantile",
        )
    models = tuple(sorted({str(run.stated.get("model") or run.stated.get("guard")) for run in read}))
    return _allowance(rows["tokens"].to_list(), models, quantile, margin)


def _counted(runs: Sequence[Run]) -> pl.DataFrame:
    """Replies to prompts and responses with their tokens; a rule without a model spends none and says nothing."""
    rows = pl.concat([run.rows for run in runs]).filter(
        pl.col("subject").is_in([Subject.PROMPT.value, Subject.RESPONSE.value])
        & pl.col("status").is_in([Status.OK.value, Status.TRUNCATED.value])
    )
    tokens = pl.col("trace_tokens").fill_null(0) + pl.col("answer_tokens")
    return rows.with_columns(tokens.alias("tokens")).filter(pl.col("tokens") > 0)


def _allowance(tokens: list[int], models: tuple[str, ...], quantile: float, margin: float) -> Allowance:
    lengths = sorted(tokens)
    at = lengths[min(len(lengths) - 1, math.ceil(quantile * len(lengths)) - 1)]  # so many have room, no fewer
    return Allowance(
        max_tokens=max(1, math.ceil(at * (1 + margin))),
        replies=len(lengths),
        models=models,
        quantile=quantile,
        margin=margin,
        at_quantile=at,
        longest=lengths[-1],
    )
