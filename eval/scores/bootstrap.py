"""The bootstrap over items: scipy draws, the statistic weighs."""

import hashlib
import warnings
from collections.abc import Callable

import numpy as np

from safety_reasoning.eval.scores.libraries import scipy_stats
from safety_reasoning.eval.scores.measure import Floats
from safety_reasoning.eval.scores.sheet import Numbers

_NUMBERS_AT_ONCE = 4_000_000
"""Weights in memory at a time: 32 MB."""


def bootstrap(measure: Callable[[Floats], Floats], *, items: int, rows: int, draws: int, seed: list[int]) -> Floats:
    """(numbers, draws): a statistic in each draw of as many items as there are; NaN where it is undefined.

    `measure` takes weights (items, draws); `rows` is how many rows it weighs at a time, for the memory's sake.
    Needs two items.
    """

    def statistic(drawn: Numbers, axis: int) -> Floats:
        return measure(_counts(drawn, items))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns where a draw is undefined: those are counted by the caller
        result = scipy_stats().bootstrap(
            (np.arange(items),),
            statistic,
            n_resamples=draws,
            batch=max(1, _NUMBERS_AT_ONCE // max(rows, items)),
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return np.asarray(result.bootstrap_distribution)


def seed_of(seed: int, *names: str) -> list[int]:
    """A seed for each task: the draws of one do not hang on which others there are."""
    return [seed, *(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) for name in names)]


def _counts(drawn: Numbers, items: int) -> Floats:
    """(items, draws) of (draws, items): how often each item is in each draw."""
    draws = len(drawn)
    places = drawn + np.arange(draws)[:, None] * items
    counts = np.bincount(places.ravel(), minlength=draws * items).reshape(draws, items)
    return np.ascontiguousarray(counts.T, dtype=np.float64)  # a row an item: rows are what is looked up
