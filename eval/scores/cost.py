"""What verdicts cost: latency at the concurrency of the run, tokens, and what the added time buys. Pure.

Figure 4 of the paper gives the average time per sample, and by how many percent it lies above that of the
non-reasoning baseline. Here it is the mean latency divided by the calls in flight, which is the time per sample of a
server that is kept busy (Little's law). Two runs of one concurrency on one machine can be compared so.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from safety_reasoning.eval.scores.groups import quantile_parts
from safety_reasoning.eval.scores.measure import Measure
from safety_reasoning.eval.scores.policy import DEFAULT, Policy
from safety_reasoning.eval.scores.score import DRAWS, score_task

NO_LATENCY = "no call has a latency of its own: no model was asked, or the engine answers in batches"
_ITEM = ["task", "item", "positive"]
_SAME = ("concurrency", "engine", "engine_kind")
"""What two runs must have in common for their latencies to be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of one kind over the rows."""

    mean: float
    p50: float
    p95: float
    per_verdict: float | None
    """All that were spent, divided by the verdicts that could be read of rows that report them; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """F1 of the rows of one task whose traces have one length."""

    tokens: str
    """From – to, of the trace."""
    rows: int
    f1: Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One run, over all of its tasks."""

    rows: int
    verdicts: int
    concurrency: int | None
    """As the run states it."""
    timed: int
    """Rows with a latency."""
    p50_s: float | None
    p95_s: float | None
    mean_s: float | None
    """None without a latency; see NO_LATENCY."""
    tokens: Mapping[str, Tokens]
    """`trace`, `answer` and `prompt`; a kind that no row reports is not there."""
    by_length: Mapping[str, tuple[Bin, ...]]
    """By task: F1 against the length of the trace, in quartiles; () where traces have one length."""

    @property
    def per_sample_s(self) -> float | None:
        """Average time per sample of a server kept busy, as in Figure 4."""
        return None if self.mean_s is None or not self.concurrency else self.mean_s / self.concurrency

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "rows": self.rows,
            "verdicts": self.verdicts,
            "concurrency": self.concurrency,
            "timed": self.timed,
            "latency_s": {"p50": self.p50_s, "p95": self.p95_s, "mean": self.mean_s, "per_sample": self.per_sample_s},
            "tokens": {
                kind: {"mean": one.mean, "p50": one.p50, "p95": one.p95, "per_verdict": one.per_verdict}
                for kind, one in self.tokens.items()
            },
            "f1_by_trace_tokens": {
                task: [{"tokens": one.tokens, "rows": one.rows, "f1": one.f1.as_json()} for one in bins]
                for task, bins in self.by_length.items()
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What a run takes and gives beyond the baseline, over the items that both have."""

    tasks: tuple[str, ...]
    added_ms: float | None
    """Mean latency less the baseline's."""
    overhead: float | None
    """The same as a share of the baseline's: 0.349 is 34.9%."""
    f1: float | None
    """Mean over the tasks."""
    added_f1: float | None
    why: str
    """Why something is None; '' where nothing is."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "tasks": list(self.tasks),
            "added_ms": self.added_ms,
            "overhead_percent": None if self.overhead is None else 100 * self.overhead,
            "f1": self.f1,
            "added_f1": self.added_f1,
            "why": self.why,
        }


def cost_of(
    rows: pl.DataFrame, stated: Mapping[str, Any], *, policy: Policy = DEFAULT, draws: int = DRAWS, seed: int = 0
) -> Cost:
    """What a run's rows cost."""
    latency = rows["latency_s"].drop_nulls().to_numpy()
    p50, p95 = np.quantile(latency, [0.5, 0.95]) if len(latency) else (None, None)
    concurrency = stated.get("concurrency")
    return Cost(
        rows=len(rows),
        verdicts=rows["predicted"].count(),
        concurrency=concurrency if isinstance(concurrency, int) else None,
        timed=len(latency),
        p50_s=None if p50 is None else float(p50),
        p95_s=None if p95 is None else float(p95),
        mean_s=float(latency.mean()) if len(latency) else None,
        tokens=dict(_tokens(rows)),
        by_length={task: tuple(_bins(part, policy, draws, seed)) for task, part in _by_task(rows).items()},
    )


def added(
    rows: pl.DataFrame, stated: Mapping[str, Any], base: pl.DataFrame, base_stated: Mapping[str, Any], policy: Policy
) -> Added:
    """A run beside the baseline."""
    run = _by_task(rows.join(base, on=_ITEM, how="semi", maintain_order="left"))
    ground = _by_task(base.join(rows, on=_ITEM, how="semi", maintain_order="left"))
    tasks = tuple(run)
    if not tasks:
        return Added(tasks=(), added_ms=None, overhead=None, f1=None, added_f1=None, why="no item is in both runs")
    f1, base_f1 = _mean_f1(run, tasks, policy), _mean_f1(ground, tasks, policy)
    latency, base_latency = _mean_latency(run, tasks), _mean_latency(ground, tasks)
    why = _why_not(stated, base_stated) or ("" if latency and base_latency else NO_LATENCY)
    more = None if why or latency is None or base_latency is None else latency - base_latency
    return Added(
        tasks=tasks,
        added_ms=None if more is None else 1000 * more,
        overhead=None if more is None or not base_latency else more / base_latency,
        f1=f1,
        added_f1=None if f1 is None or base_f1 is None else f1 - base_f1,
        why=why,
    )


def _why_not(stated: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    differ = [name for name in _SAME if stated.get(name) != base.get(name)]
    return "" if not differ else f"latencies are not compared: the runs differ in {' and '.join(differ)}"


def _tokens(rows: pl.DataFrame) -> Iterator[tuple[str, Tokens]]:
    for kind in ("trace", "answer", "prompt"):
        known = rows.drop_nulls(f"{kind}_tokens")
        if len(known):
            counts, verdicts = known[f"{kind}_tokens"].to_numpy(), known["predicted"].count()
            p50, p95 = np.quantile(counts, [0.5, 0.95])
            each = float(counts.sum() / verdicts) if verdicts else None
            yield kind, Tokens(mean=float(counts.mean()), p50=float(p50), p95=float(p95), per_verdict=each)


def _bins(rows: pl.DataFrame, policy: Policy, draws: int, seed: int) -> Iterator[Bin]:
    """Generations are pooled: the traces of one item have lengths of their own."""
    if rows["trace_tokens"].drop_nulls().n_unique() < 2:
        return
    for name, part in quantile_parts(rows, "trace_tokens", rows["trace_tokens"]):
        pooled = part.with_columns(pl.lit(0, pl.Int32).alias("generation"))
        yield Bin(tokens=name, rows=len(part), f1=score_task(pooled, policy=policy, draws=draws, seed=seed).f1)


def _by_task(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(name): part for (name,), part in sorted(rows.group_by("task"), key=lambda found: str(found[0][0]))}


def _mean_f1(parts: Mapping[str, pl.DataFrame], tasks: Sequence[str], policy: Policy) -> float | None:
    found = [score_task(parts[task], policy=policy, draws=0).f1.value for task in tasks]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if len(known) == len(found) else None


def _mean_latency(parts: Mapping[str, pl.DataFrame], tasks: Sequence[str]) -> float | None:
    found = pl.concat([parts[task]["latency_s"] for task in tasks]).drop_nulls()
    return float(found.to_numpy().mean()) if len(found) else None
