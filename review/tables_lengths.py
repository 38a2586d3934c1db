"""How long the kept traces are, in words and in tokens."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from safety_reasoning.builders.join import EFFICIENT, FULL
from safety_reasoning.pages.tables import STEP, TEACHER, Column, Row, Table
from safety_reasoning.review.report_cases import Case, step_of

Histogram = Mapping[int, int]
"""How many traces have each length: exact, and no larger than the longest trace has words."""
_Counted = defaultdict[tuple[str, str], Counter[int]]
_QUANTILES = {"p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}


@dataclass(slots=True)
class Lengths:
    """Lengths of the kept traces, by teacher and step."""

    words: _Counted = field(default_factory=lambda: defaultdict(Counter))
    tokens: _Counted = field(default_factory=lambda: defaultdict(Counter))
    """Of the whole replies, as the servers counted them; those that were not counted are not here."""

    def add(self, case: Case) -> None:
        """Count a sample."""
        for attempt in (attempt for chain in case.chains for attempt in chain.attempts):
            if attempt.sifted.reasons or attempt.sifted.trace is None:
                continue
            key = (attempt.teacher, step_of(attempt))
            self.words[key][len(attempt.sifted.trace.split())] += 1
            if attempt.sifted.reply.completion_tokens:
                self.tokens[key][attempt.sifted.reply.completion_tokens] += 1


def lengths(counts: Lengths) -> Table:
    """Mean, quantiles and largest."""
    columns = (
        *(TEACHER, STEP, Column("unit", "unit", "code")),
        Column("traces", "traces", "count"),
        Column("mean", "mean", "number"),
        *(Column(name, name, "count") for name in _QUANTILES),
        Column("max", "longest", "count"),
    )
    note = (
        "Kept traces. Words stand between white space. Tokens are those of the whole reply, its answer included, as the"
        " server counted them."
    )
    return Table(
        name="lengths",
        title="Length of the kept traces",
        columns=columns,
        rows=tuple(_rows(counts)),
        note=note,
    )


def _rows(counts: Lengths) -> Iterator[Row]:
    for teacher, step in sorted(counts.words, key=lambda key: (key[0], (FULL, EFFICIENT).index(key[1]))):
        for unit, histograms in (("words", counts.words), ("tokens", counts.tokens)):
            if found := histograms.get((teacher, step)):
                yield (teacher, step, unit, *_described(found))


def _described(histogram: Histogram) -> Row:
    traces = sum(histogram.values())
    mean = sum(length * count for length, count in histogram.items()) / traces
    return (traces, mean, *(quantile(histogram, share) for share in _QUANTILES.values()), max(histogram))


def quantile(histogram: Histogram, share: float) -> int:
    """The smallest length that at least this share of the traces does not exceed.

    Raises: ValueError if there are none.
    """
    wanted, passed = share * sum(histogram.values()), 0
    for length in sorted(histogram):
        passed += histogram[length]
        if passed >= wanted:
            return length
    raise ValueError("a quantile of nothing")
