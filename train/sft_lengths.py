"""Which rows fit into a sequence, said before anything long begins; a completion is never cut."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from safety_reasoning.errors import UsageError
from safety_reasoning.train.sft_rows import Tokens

Rule = Literal["drop", "cut_prompt", "refuse"]
Outcome = Literal["dropped", "prompt_cut"]
TAIL = 256
"""Tokens at the end of a prompt that are never cut: they say how to answer."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A row of more tokens than a sequence holds."""

    key: str
    task: str
    mode: str
    tokens: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The rows that a guard is trained on."""

    rows: Sequence[Tokens]
    too_long: Sequence[TooLong]
    max_tokens: int

    def summary(self) -> dict[str, Any]:
        """Counts of rows and tokens, as JSON values."""
        lengths = pl.Series("tokens", [len(row) for row in self.rows], dtype=pl.Int64)
        completions = pl.Series("completion", [len(row.completion) for row in self.rows], dtype=pl.Int64)
        outcomes = [row.outcome for row in self.too_long]
        return {
            "rows": len(self.rows),
            "tokens": int(lengths.sum()),
            "completion_tokens": int(completions.sum()),
            "median_tokens": int(lengths.quantile(0.5, "nearest") or 0),
            "longest_tokens": lengths.max(),
            "max_tokens": self.max_tokens,
            "dropped": outcomes.count("dropped"),
            "prompt_cut": outcomes.count("prompt_cut"),
        }


def fit(rows: Iterable[Tokens], max_tokens: int, rule: Rule) -> Fitted:
    """The rows as they can be trained on.

    Raises: UsageError if the rule is to refuse and a row is too long, or if no row is left.
    """
    kept: list[Tokens] = []
    too_long: list[TooLong] = []
    for row in rows:
        if len(row) <= max_tokens:
            kept.append(row)
            continue
        cut = _cut(row, max_tokens) if rule == "cut_prompt" else None
        too_long.append(TooLong(row.key, row.task, row.mode, len(row), "dropped" if cut is None else "prompt_cut"))
        if cut is not None:
            kept.append(cut)
    if too_long and rule == "refuse":
        raise UsageError(
            f"{len(too_long)} rows have more than {max_tokens} tokens, the longest {_longest(too_long)}",
            why='`too_long` is "refuse"',
            fix='raise `max_tokens`, or set `too_long` = "drop" or "cut_prompt"',
        )
    if not kept:
        raise UsageError(
            f"no row has at most {max_tokens} tokens" if too_long else "the mixture is empty",
            why=f"the longest of {len(too_long)} rows has {_longest(too_long)}" if too_long else "",
            fix="raise `max_tokens`" if too_long else "make a mixture with rows",
        )
    return Fitted(rows=kept, too_long=too_long, max_tokens=max_tokens)


def _longest(rows: Sequence[TooLong]) -> int:
    return max(row.tokens for row in rows)


def _cut(row: Tokens, max_tokens: int) -> Tokens | None:
    """The row without some tokens before the prompt's tail; None if it would not fit even so."""
    head = max_tokens - len(row.completion) - TAIL
    if head < 1:
        return None
    return dataclasses.replace(row, prompt=row.prompt[:head] + row.prompt[-TAIL:])


def write_too_long(path: Path, rows: Sequence[TooLong]) -> None:
    """Write which rows are too long, sorted by key."""
    types = {"key": pl.String, "task": pl.String, "mode": pl.String, "tokens": pl.Int64, "outcome": pl.String}
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [dataclasses.asdict(row) for row in sorted(rows, key=lambda row: (row.key, row.mode))]
    pl.DataFrame(records, schema=types).write_parquet(path)
