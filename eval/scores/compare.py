"""Two runs on the same rows: which is better, and by how much. Pure.

The test of verdicts is McNemar's, exact: of the items on which one run is right more often than the other, the share
that speaks for either is held against a half. With one generation that is McNemar's test to the letter; with more, an
item still counts once. The difference of F1 has a paired bootstrap: both runs are weighted by the same draws of items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from safety_reasoning.eval.scores.averages import AVERAGES, mean_of
from safety_reasoning.eval.scores.bootstrap import bootstrap, seed_of
from safety_reasoning.eval.scores.corrections import benjamini_hochberg, holm
from safety_reasoning.eval.scores.draws import f1_of
from safety_reasoning.eval.scores.libraries import scipy_stats
from safety_reasoning.eval.scores.measure import Floats, Measure
from safety_reasoning.eval.scores.pairs import Pairs, pairs_of
from safety_reasoning.eval.scores.policy import DEFAULT, Policy, apply_policy
from safety_reasoning.eval.scores.score import DRAWS, score_task
from safety_reasoning.eval.scores.sheet import Sheet, sheet_of
from safety_reasoning.eval.scores.spread import interval_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """How probable a difference at least as large would be if there were none."""

    p: float | None
    """None where nothing can be said: no item that both judge, or no F1."""
    holm: float | None = None
    """Corrected for the tasks that were compared; see corrections.py."""
    benjamini_hochberg: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """Plain JSON values."""
        return {"p": self.p, "holm": self.holm, "benjamini_hochberg": self.benjamini_hochberg}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One task."""

    task: str
    rows: int
    """In both runs."""
    only_a: tuple[str, ...]
    """Rows in A alone, as KEY/GENERATION."""
    only_b: tuple[str, ...]
    f1_a: Measure
    f1_b: Measure
    """Of the rows in both."""
    difference: Measure
    """F1 of B less that of A."""
    a_better: int
    """Items that A judges right in more generations."""
    b_better: int
    mcnemar: Chance
    f1: Chance
    """By the paired bootstrap; not below 2 / (draws + 1)."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "rows": self.rows,
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "f1_a": self.f1_a.as_json(),
            "f1_b": self.f1_b.as_json(),
            "difference": self.difference.as_json(),
            "a_better": self.a_better,
            "b_better": self.b_better,
            "mcnemar": self.mcnemar.as_json(),
            "f1": self.f1.as_json(),
        }


def compare(
    a: pl.DataFrame, b: pl.DataFrame, *, policy: Policy = DEFAULT, draws: int = DRAWS, seed: int = 0
) -> list[Compared]:
    """Every task that is in either run, sorted; tasks without a common row are there and say so."""
    found = [_compared(pairs, policy, draws, seed) for pairs in pairs_of(a, b)]
    verdicts, scores = _corrected([one.mcnemar for one in found]), _corrected([one.f1 for one in found])
    return [replace(one, mcnemar=m, f1=f) for one, m, f in zip(found, verdicts, scores, strict=True)]


def averaged(compared: Sequence[Compared]) -> dict[str, Measure]:
    """The differences of the named averages of which every task was compared."""
    differences = {one.task: one.difference for one in compared}
    found = {name: mean_of(differences, name) for name in AVERAGES}
    return {name: measure for name, measure in found.items() if measure.value is not None}


def _compared(pairs: Pairs, policy: Policy, draws: int, seed: int) -> Compared:
    a, b = (score_task(rows, policy=policy, draws=0).f1 for rows in (pairs.a, pairs.b))
    first, second = sheet_of(pairs.a), sheet_of(pairs.b)
    better = _better(_rightness(first, policy), _rightness(second, policy))
    difference = _difference(len(pairs.a), a, b, _draws(first, second, policy, draws, seed))
    return Compared(
        task=pairs.task,
        rows=len(pairs.a),
        only_a=pairs.only_a,
        only_b=pairs.only_b,
        f1_a=a,
        f1_b=b,
        difference=difference,
        a_better=better[0],
        b_better=better[1],
        mcnemar=Chance(p=mcnemar(*better) if len(pairs.a) else None),
        f1=Chance(p=p_of(difference.draws)),
    )


def mcnemar(a_better: int, b_better: int) -> float:
    """The exact two-sided p value; 1 where neither is ever better."""
    if not a_better + b_better:
        return 1.0
    return float(scipy_stats().binomtest(b_better, a_better + b_better).pvalue)


def _better(a: Floats, b: Floats) -> tuple[int, int]:
    """Items on which the first is right more often than the second, and the reverse; NaN is no item of theirs."""
    return int((a > b).sum()), int((b > a).sum())


def _rightness(sheet: Sheet, policy: Policy) -> Floats:
    """Of each item's rows that count, the share that is right."""
    called, counted = apply_policy(policy, gold=sheet.gold, predicted=sheet.predicted, parsed=sheet.parsed)
    right = np.bincount(sheet.item, weights=(called == sheet.gold) & counted, minlength=sheet.items)
    rows = np.bincount(sheet.item, weights=counted, minlength=sheet.items)
    found: Floats = np.divide(right, rows, out=np.full(sheet.items, np.nan), where=rows > 0)
    return found


def _draws(first: Sheet, second: Sheet, policy: Policy, draws: int, seed: int) -> Floats | None:
    if not draws or first.items < 2 or not (first.parsed.any() and second.parsed.any()):
        return None
    a, b = f1_of(first, policy), f1_of(second, policy)
    found = bootstrap(
        lambda weights: b(weights) - a(weights),
        items=first.items,
        rows=first.items,
        draws=draws,
        seed=seed_of(seed, first.task),
    )
    drawn: Floats = found[0]
    return drawn


def _difference(rows: int, a: Measure, b: Measure, draws: Floats | None) -> Measure:
    if not rows:
        return Measure(value=None, why="no row is in both runs")
    if a.value is None or b.value is None:
        which = " and ".join(f"{name}: {one.why}" for name, one in (("A", a), ("B", b)) if one.value is None)
        return Measure(value=None, why=which)
    interval, undefined = interval_of(draws)
    return Measure(value=b.value - a.value, interval=interval, undefined_draws=undefined, draws=draws)


def p_of(draws: Floats | None) -> float | None:
    """Twice the smaller share of draws on one side of nought; those on it count for both (Davison and Hinkley, 4.4).

    None without draws.
    """
    if draws is None:
        return None
    defined = draws[~np.isnan(draws)]
    if not len(defined):
        return None
    fewer = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (fewer + 1) / (len(defined) + 1))


def _corrected(chances: Sequence[Chance]) -> list[Chance]:
    known = [number for number, one in enumerate(chances) if one.p is not None]
    p_values = [p for one in chances if (p := one.p) is not None]
    adjusted: Mapping[int, tuple[float, float]] = dict(
        zip(known, zip(holm(p_values), benjamini_hochberg(p_values), strict=True), strict=True)
    )
    return [
        replace(one, holm=adjusted[number][0], benjamini_hochberg=adjusted[number][1]) if number in adjusted else one
        for number, one in enumerate(chances)
    ]
