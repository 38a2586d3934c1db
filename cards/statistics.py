"""Statistics of a release's records, as its manifest states them. Lengths are in words."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import polars as pl

from safety_reasoning.builders.records import Record
from safety_reasoning.builders.samples import ContentSafetySample, TopicControlSample
from safety_reasoning.schemas.columns import Task

Statistics = dict[str, Any]
"""Plain JSON values: counts, and shares in [0, 1] rounded to four places."""


def statistics(task: Task, records: Sequence[Record], teachers: Iterable[str]) -> Statistics:
    """Counts by label and by category or domain, and for every teacher agreement and trace lengths."""
    names = sorted(teachers)
    counts = _content_counts(records) if task is Task.CONTENT_SAFETY else _topic_counts(records)
    return {
        **counts,
        "teachers": {name: _teacher(name, records) for name in names},
        "agreement": [_pair(a, b, records) for a, b in combinations(names, 2)],
    }


def _content_counts(records: Sequence[Record]) -> Statistics:
    samples = [r.sample for r in records if isinstance(r.sample, ContentSafetySample)]
    categories = Counter[str]()
    for sample in samples:
        named = str(sample.published["violated_categories"])
        categories.update(filter(None, named.split(", ")))
    return {
        "prompt_harm_label": _ordered(Counter(s.prompt_harm for s in samples)),
        "response_harm_label": _ordered(Counter(s.response_harm or "none" for s in samples)),
        "violated_categories": _ordered(categories),
    }


def _topic_counts(records: Sequence[Record]) -> Statistics:
    samples = [r.sample for r in records if isinstance(r.sample, TopicControlSample)]
    return {
        "gt_topic_classification": _ordered(Counter(s.topic for s in samples)),
        "domain": _ordered(Counter(s.domain or "not stated" for s in samples)),
    }


def _ordered(counts: Counter[str]) -> dict[str, int]:
    """Most frequent first, ties by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _teacher(name: str, records: Sequence[Record]) -> Statistics:
    traces = [record.traces[name] for record in records]
    verdicts = [t.mismatch for t in traces if t.mismatch is not None]
    return {
        "verdicts": len(verdicts),
        "agrees_with_gold": _share(sum(not v for v in verdicts), len(verdicts)),
        "full_words": _lengths([t.full for t in traces if t.full is not None]),
        "efficient_words": _lengths([t.efficient for t in traces if t.efficient is not None]),
    }


def _lengths(texts: Sequence[str]) -> Statistics:
    words = pl.Series([len(text.split()) for text in texts], dtype=pl.Int64)
    if words.is_empty():
        return {"traces": 0}
    return {
        "traces": len(words),
        "mean": round(float(words.to_numpy().mean()), 1),
        "p5": int(words.quantile(0.05, "nearest") or 0),
        "median": int(words.quantile(0.5, "nearest") or 0),
        "p95": int(words.quantile(0.95, "nearest") or 0),
        "max": int(words.to_numpy().max()),
    }


def _pair(a: str, b: str, records: Sequence[Record]) -> Statistics:
    """How often two teachers are both right or both wrong, where both gave a verdict."""
    flags = [(record.traces[a].mismatch, record.traces[b].mismatch) for record in records]
    both = [(x, y) for x, y in flags if x is not None and y is not None]
    return {
        "teachers": [a, b],
        "verdicts": len(both),
        "same": _share(sum(x == y for x, y in both), len(both)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
