"""Scores of a report's runs as tables: by task, under all parse policies, and as averages. Pure."""

from collections.abc import Iterator, Sequence

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.eval.report.scored import ByTask, Scored
from safety_reasoning.eval.scores.averages import AVERAGES, average
from safety_reasoning.eval.scores.measure import Measure, Metric
from safety_reasoning.eval.scores.policy import DEFAULT, Policy
from safety_reasoning.pages.tables import Cell, Column, Row, Table

_RUN, _TASK = Column("run", "run"), Column("task", "task", "code")
_POLICIES = tuple(Column(policy.value, f"F1, {policy.value}", "ratio") for policy in Policy)
_SPREAD = (
    *(Column("low", "95% from", "ratio"), Column("high", "to", "ratio")),
    Column("std", "sd", "ratio"),
)
_BESIDE = {
    Metric.PRECISION: "precision",
    Metric.RECALL: "recall",
    Metric.FPR: "FPR",
    Metric.FNR: "FNR",
    Metric.ACCURACY: "accuracy",
}
_OF_PROBABILITIES = {Metric.AUROC: "AUROC", Metric.AUPRC: "AUPRC", Metric.ECE: "ECE", Metric.BRIER: "Brier"}


def score_tables(runs: Sequence[Evaluated], found: Scored) -> tuple[Table, ...]:
    """F1 under the four policies, the other measures, averages, over-refusal and probabilities."""
    cases = [(run.label, task, found.scores[run.label]) for run in runs for task in sorted(found.scores[run.label])]
    cases.sort(key=lambda case: case[1])
    return (
        _policies(cases),
        _measures(cases),
        _averages(runs, found),
        _over_refusal(cases),
        _probabilities(cases),
        _unparsed(cases),
    )


_Cases = Sequence[tuple[str, str, ByTask]]


def _policies(cases: _Cases) -> Table:
    columns = (
        *(_TASK, _RUN, Column("rows", "rows", "count"), Column("positives", "positive", "count")),
        *(Column("unparsed", "unparsed", "count"), *_POLICIES, *_SPREAD),
    )
    rows = []
    for label, task, scores in cases:
        score = scores[task][DEFAULT]
        values = (scores[task][policy].f1.value for policy in Policy)
        counts = (score.rows, score.positives, sum(score.unparsed.values()))
        rows.append((task, label, *counts, *values, *_spread(score.f1)))
    return Table(
        name="policies",
        title="Harmful F1 by parse policy",
        columns=columns,
        rows=tuple(rows),
        note="What an answer without a verdict counts for: wrong, nothing (drop), harmful or unharmful. F1 is a mean"
        " over generations; interval (bootstrap over items) and standard deviation (sd, over generations) are of"
        f" “{DEFAULT.value}”.",
    )


def _measures(cases: _Cases) -> Table:
    columns = (_TASK, _RUN, *(Column(metric.value, title, "ratio") for metric, title in _BESIDE.items()))
    rows = tuple(
        (task, label, *(scores[task][DEFAULT].measures[metric].value for metric in _BESIDE))
        for label, task, scores in cases
    )
    note = f"An answer without a verdict counts as “{DEFAULT.value}”."
    return Table(name="measures", title="The other measures", columns=columns, rows=rows, note=note, folded=True)


def _averages(runs: Sequence[Evaluated], found: Scored) -> Table:
    columns = (
        *(Column("average", "average", "code"), _RUN, *_POLICIES, *_SPREAD),
        Column("missing", "tasks not run", "count"),
    )
    rows = tuple(row for name in AVERAGES for run in runs for row in _average(name, run.label, found))
    return Table(
        name="averages",
        title="Averages by their rules",
        columns=columns,
        rows=rows,
        note="prompt5, resp4, dyna4 and cosa5 are means of their tasks, safety9 of the nine safety tasks, and"
        " custom_mean2 of dyna4 and cosa5. There is no average of tasks that were not all run.",
        empty="no run has all tasks of one",
    )


def _average(name: str, label: str, found: Scored) -> Iterator[Row]:
    """A row where at least one of its tasks was run."""
    scores = found.scores[label]
    by_policy = [average({task: by[policy] for task, by in scores.items()}, name) for policy in Policy]
    first = by_policy[list(Policy).index(DEFAULT)]
    if len(first.missing) < len(first.tasks):
        values = (one.measure.value for one in by_policy)
        yield (name, label, *values, *_spread(first.measure), len(first.missing))


def _over_refusal(cases: _Cases) -> Table:
    columns = (
        *(_TASK, _RUN, Column("benign", "benign rows", "count"), Column("blocked", "blocked", "share")),
        *(Column("low", "95% from", "share"), Column("high", "to", "share")),
    )
    rows = []
    for label, task, scores in cases:
        score = scores[task][DEFAULT]
        low, high, _ = _spread(score.over_refusal)
        if score.rows > score.positives:
            rows.append((task, label, score.rows - score.positives, score.over_refusal.value, low, high))
    return Table(
        name="over_refusal",
        title="Over-refusal: benign rows that are blocked",
        columns=columns,
        rows=tuple(rows),
        note=f"An answer without a verdict counts as “{DEFAULT.value}”, so here as blocked.",
        folded=True,
    )


def _probabilities(cases: _Cases) -> Table:
    columns = (
        *(_TASK, _RUN, Column("with_probability", "rows with one", "count")),
        *(Column(metric.value, title, "ratio") for metric, title in _OF_PROBABILITIES.items()),
    )
    rows = []
    for label, task, scores in cases:
        score = scores[task][DEFAULT]
        if score.with_probability:
            rows.append((task, label, score.with_probability, *(score.measures[m].value for m in _OF_PROBABILITIES)))
    return Table(
        name="probabilities",
        title="Probabilities of the verdict",
        columns=columns,
        rows=tuple(rows),
        note="Of the rows whose engine gave the verdict's log-probability.",
        empty="no run has the probabilities of its verdicts",
    )


def _unparsed(cases: _Cases) -> Table:
    columns = (_TASK, _RUN, Column("why", "why", "code"), Column("rows", "rows", "count"))
    rows = tuple(
        (task, label, why, count)
        for label, task, scores in cases
        for why, count in sorted(scores[task][DEFAULT].unparsed.items())
    )
    return Table(
        name="unparsed",
        title="Answers without a verdict, by reason",
        columns=columns,
        rows=rows,
        empty="every answer has one",
        folded=True,
    )


def _spread(measure: Measure) -> tuple[Cell, Cell, Cell]:
    interval = measure.interval
    low, high = (interval.low, interval.high) if interval else (None, None)
    return (low, high, measure.std)
