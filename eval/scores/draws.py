"""The same measures for many weightings of the items at once, for the bootstrap. Pure.

A draw of the bootstrap is a count for each item. Measures that are ratios of sums over rows are ratios of products of
one matrix; AUROC and AUPRC are running sums over the rows sorted by probability. scikit-learn, asked once a draw,
takes a hundred times as long; tests hold both to be equal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from safety_reasoning.eval.scores.libraries import scipy_sparse
from safety_reasoning.eval.scores.measure import Floats, Metric
from safety_reasoning.eval.scores.metrics import BINS, bins_of
from safety_reasoning.eval.scores.policy import Bools, Policy, apply_policy
from safety_reasoning.eval.scores.sheet import Numbers, Sheet

_CELLS = 4
"""Hits, false alarms, misses, passes."""
_UNDER_ALL = (Metric.AUROC, Metric.AUPRC, Metric.ECE, Metric.BRIER, Metric.REFUSAL_RATE)
METRICS = (Metric.F1, Metric.PRECISION, Metric.RECALL, Metric.FPR, Metric.FNR, Metric.ACCURACY, *_UNDER_ALL)
"""Their order in what `Drawn.measure` returns, policy by policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A sheet, ready to be weighted."""

    generations: int
    policies: int
    cells: Floats
    """(items, generations * policies * cells): each item's rows, counted."""
    sums: Floats
    """(items, generations * columns): for calibration, Brier score and refusals; see `_row_sums`."""
    ranked: "tuple[Ranked | None, ...]"
    """Of each generation; None without a row of either class that has a probability."""

    def measure(self, weights: Floats) -> Floats:
        """(policies * metrics, draws): the mean over generations, NaN where undefined; `weights` is (items, draws)."""
        draws = weights.shape[1]
        shape = (self.generations, self.policies, _CELLS, draws)
        verdicts = _verdicts((self.cells.T @ weights).reshape(shape))
        shared = np.full((self.generations, len(_UNDER_ALL), draws), np.nan)
        shared[:, 2:] = _from_sums((self.sums.T @ weights).reshape(self.generations, -1, draws))
        for generation, ranked in enumerate(self.ranked):
            if ranked is not None:
                shared[generation, :2] = ranked.measure(weights)
        both = [verdicts.mean(axis=0), np.broadcast_to(shared.mean(axis=0), (self.policies, *shared.shape[1:]))]
        return np.concatenate(both, axis=1).reshape(-1, draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Rows of one generation with a probability, the most probable first, as sparse matrices (steps, items).

    A step is a probability that a positive row has: only there do AUROC and AUPRC grow.
    """

    hits: Any
    """The positive rows of each step."""
    alarms: Any
    """The negative rows since the step before, those of the step's own probability among them; one line more, for
    those below the last step."""
    tied: Any
    """Of these, the ones of the step's own probability."""

    def measure(self, weights: Floats) -> Floats:
        """(AUROC and AUPRC, draws)."""
        more_hits, more_alarms = self.hits @ weights, self.alarms @ weights
        hits, alarms = np.cumsum(more_hits, axis=0), np.cumsum(more_alarms, axis=0)
        negatives, alarms = alarms[-1], alarms[:-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            below = negatives - alarms + (self.tied @ weights) / 2
            auroc = (more_hits * below).sum(axis=0) / (hits[-1] * negatives)
            precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits > 0)
            auprc = (more_hits * precision).sum(axis=0) / hits[-1]
        found: Floats = np.stack([auroc, auprc])
        return found


def f1_of(sheet: Sheet, policy: Policy) -> Callable[[Floats], Floats]:
    """F1 alone: a function from weights (items, draws) to (1, draws)."""
    cells = _summed(sheet, _cells(sheet, policy))

    def measure(weights: Floats) -> Floats:
        shape = (sheet.generations, 1, _CELLS, weights.shape[1])
        found: Floats = _verdicts((cells.T @ weights).reshape(shape)).mean(axis=0)[:, 0]
        return found

    return measure


def drawn_of(sheet: Sheet, policies: Sequence[Policy]) -> Drawn:
    """What is counted once, whatever the draws."""
    cells = np.concatenate([_cells(sheet, policy) for policy in policies], axis=1)
    ranked = tuple(_ranked(sheet, sheet.generation == generation) for generation in range(sheet.generations))
    return Drawn(
        generations=sheet.generations,
        policies=len(policies),
        cells=_summed(sheet, cells),
        sums=_summed(sheet, _row_sums(sheet)),
        ranked=ranked,
    )


def _summed(sheet: Sheet, columns: Floats) -> Floats:
    """(items, generations * columns): (rows, columns) added up by item and generation."""
    found = np.zeros((sheet.items * sheet.generations, columns.shape[1]))
    np.add.at(found, sheet.item * sheet.generations + sheet.generation, columns)
    return found.reshape(sheet.items, -1)


def _cells(sheet: Sheet, policy: Policy) -> Floats:
    """(rows, cells) of 0 and 1."""
    called, counted = apply_policy(policy, gold=sheet.gold, predicted=sheet.predicted, parsed=sheet.parsed)
    gold = sheet.gold
    cells = np.stack([gold & called, ~gold & called, gold & ~called, ~gold & ~called], axis=1)
    return (cells & counted[:, None]).astype(np.float64)


def _row_sums(sheet: Sheet) -> Floats:
    """(rows, columns): what the last four measures are sums of.

    Whether a probability is there, its squared error, refusals and whether they are said, and in each bin how far the
    probability lies above the label.
    """
    known, said = ~np.isnan(sheet.probability), ~np.isnan(sheet.refusal)
    gap = np.where(known, sheet.probability - sheet.gold, 0.0)
    binned = np.zeros((len(gap), BINS))
    binned[np.arange(len(gap)), bins_of(np.where(known, sheet.probability, 0.0))] = gap
    columns = [known, gap**2, np.where(said, sheet.refusal, 0.0), said]
    return np.concatenate([np.stack(columns, axis=1), binned], axis=1)


def _ranked(sheet: Sheet, here: Bools) -> Ranked | None:
    here = here & ~np.isnan(sheet.probability)
    gold = sheet.gold[here]
    if not gold.any():
        return None
    probability, item = sheet.probability[here], sheet.item[here]
    falling, step = np.unique(-probability[gold], return_inverse=True)
    above = np.searchsorted(falling, -probability[~gold])  # the first step that is no more probable
    tied = np.append(falling, np.inf)[above] == -probability[~gold]
    negative = item[~gold]
    return Ranked(
        hits=_counts(step, item[gold], (len(falling), sheet.items)),
        alarms=_counts(above, negative, (len(falling) + 1, sheet.items)),
        tied=_counts(above[tied], negative[tied], (len(falling), sheet.items)),
    )


def _counts(line: Numbers, item: Numbers, shape: tuple[int, int]) -> Any:
    """A sparse matrix of how often each (line, item) occurs."""
    return scipy_sparse().csr_array((np.ones(len(line)), (line, item)), shape=shape)


def _verdicts(cells: Floats) -> Floats:
    """(generations, policies, metrics, draws) of (generations, policies, cells, draws)."""
    hits, alarms, misses, passes = np.moveaxis(cells, 2, 0)
    positives, negatives = hits + misses, alarms + passes
    ratios = [
        (2 * hits, np.where(positives > 0, 2 * hits + alarms + misses, 0)),
        (hits, hits + alarms),
        (hits, positives),
        (alarms, negatives),
        (misses, positives),
        (hits + passes, positives + negatives),
    ]
    return np.stack([_ratio(part, whole) for part, whole in ratios], axis=2)


def _from_sums(sums: Floats) -> Floats:
    """(generations, calibration error and Brier score and refusal rate, draws)."""
    known, squares, refused, said = np.moveaxis(sums[:, :4], 1, 0)
    gaps = np.abs(sums[:, 4:]).sum(axis=1)
    return np.stack([_ratio(gaps, known), _ratio(squares, known), _ratio(refused, said)], axis=1)


def _ratio(part: Floats, whole: Floats) -> Floats:
    found: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return found
