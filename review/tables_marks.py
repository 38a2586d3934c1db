"""What people's marks say of the filters and of the judge."""

from collections.abc import Iterator

from safety_reasoning.pages.tables import Column, Row, Table
from safety_reasoning.review.agreement import Against
from safety_reasoning.review.agreement_marks import Agreement, Between, Score

_MODE = Column("mode", "failure mode", "code")


def mark_tables(marks: Agreement) -> tuple[Table, ...]:
    """Filters and judge against the marks, and the reviewers among themselves; () where nobody has marked a trace."""
    scores = (_scores(marks.scores),) if marks.scores else ()
    return (*scores, _between(marks.between)) if marks.between else scores


def _scores(scores: tuple[Score, ...]) -> Table:
    columns = (
        *(Column("finder", "who", "code"), _MODE),
        Column("hits", "found and marked", "count"),
        Column("false_alarms", "found, not marked", "count"),
        Column("misses", "marked, not found", "count"),
        Column("passes", "neither", "count"),
        Column("unjudged", "could not judge", "count"),
        *(Column("precision", "precision", "share"), Column("recall", "recall", "share")),
        *(Column("weighted_precision", "precision, weighted", "share"),),
        *(Column("weighted_recall", "recall, weighted", "share"),),
        Column("ties", "reviewers divided", "count"),
    )
    note = (
        "Counts, precision and recall over the traces that were read, in which rare faults are over-represented;"
        " weighted, as an estimate for all traces that the sample was drawn from. What the judge could not judge is in"
        " neither."
    )
    return Table(
        name="marks",
        title="Filters and judge against human marks",
        columns=columns,
        rows=tuple(map(_score, scores)),
        note=note,
    )


def _score(score: Score) -> Row:
    shares = (score.read.precision, score.read.recall, score.weighted.precision, score.weighted.recall)
    return (score.finder, score.mode, *_counts(score.read), *shares, score.ties)


def _counts(read: Against) -> Iterator[int]:
    """They are sums of ones."""
    return map(int, (read.hits, read.false_alarms, read.misses, read.passes, read.unjudged))


def _between(between: tuple[Between, ...]) -> Table:
    columns = (
        _MODE,
        Column("traces", "traces marked by two or more", "count"),
        Column("alpha", "Krippendorff's alpha", "ratio"),
        Column("low", "lowest Cohen's kappa of two", "ratio"),
        Column("high", "highest", "ratio"),
    )
    rows = tuple(map(_agreed, between))
    return Table(name="reviewers", title="Agreement of the reviewers", columns=columns, rows=rows)


def _agreed(of: Between) -> Row:
    kappas = [kappa.value for kappa in of.kappas.values() if kappa.value is not None]
    return (of.mode, of.alpha.items, of.alpha.value, min(kappas, default=None), max(kappas, default=None))
