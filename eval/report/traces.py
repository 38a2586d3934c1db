"""How long a run's traces are, in sentences and words. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

import polars as pl

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.filters.sentences import count_sentences

MOST = 2000
"""Traces that are counted of a run: those with the smallest keys. Sentences are slow to count, and this is plenty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLengths:
    """Of the traces that were counted; a reply without one has no sentences and no words."""

    counted: int
    sentences: float
    """Mean; 0 for a guard that does not reason."""
    words_by_sentences: Mapping[int, tuple[int, float]]
    """By the sentences of a trace: how many traces have so many, and their mean words."""


def trace_lengths(run: Evaluated) -> TraceLengths:
    """Of one generation of each item."""
    first = run.run.rows.lazy().filter(pl.col("generation") == 0).sort("item", "task").head(MOST)
    traces = first.select(pl.col("reasoning").fill_null("")).collect().to_series().to_list()
    words: defaultdict[int, list[int]] = defaultdict(list)
    for trace in traces:
        words[count_sentences(trace)].append(len(trace.split()))
    counted = {sentences: (len(found), fmean(found)) for sentences, found in sorted(words.items()) if sentences}
    total = sum(sentences * len(found) for sentences, found in words.items())
    return TraceLengths(
        counted=len(traces), sentences=total / len(traces) if traces else 0.0, words_by_sentences=counted
    )
