"""The scores of a run as lines for a terminal."""

from collections.abc import Iterator, Mapping

from safety_reasoning.eval.scores.averages import AVERAGES, average, tasks_of
from safety_reasoning.eval.scores.draws import METRICS
from safety_reasoning.eval.scores.measure import Metric, Score
from safety_reasoning.eval.scores.policy import Policy
from safety_reasoning.eval.scores.text import columns, number, one_line, with_interval

Scores = Mapping[str, Mapping[Policy, Score]]
"""By task, or by the part of one."""


def score_lines(scores: Scores, policy: Policy, *, draws: int) -> Iterator[str]:
    """F1 under every policy, the averages, every other measure under one, and what could not be computed."""
    spread = f"95% intervals over items by {draws} draws" if draws else "no intervals"
    yield f"F1 under each parse policy: mean over generations; {spread}"
    yield from _f1_lines(scores)
    yield from _average_lines(scores)
    yield ""
    yield f"other measures, under the policy `{policy.value}`"
    yield from _measure_lines(scores, policy)
    yield from _notes(scores, policy)


def _f1_lines(scores: Scores) -> Iterator[str]:
    rows: list[tuple[object, ...]] = [("task", "rows", "positive", "unparsed", *(policy.value for policy in Policy))]
    for name, by_policy in scores.items():
        one = by_policy[Policy.WRONG]
        f1 = (with_interval(by_policy[policy].f1) for policy in Policy)
        rows.append((name, one.rows, one.positives, sum(one.unparsed.values()), *f1))
    yield from columns(rows)


def part_lines(by: str, scores: Scores, policy: Policy) -> Iterator[str]:
    """One line a part: those without positive rows have a false-positive rate, those without others a recall."""
    shown = (Metric.F1, Metric.RECALL, Metric.FPR)
    rows: list[tuple[object, ...]] = [(by, "rows", "positive", "unparsed", *(metric.value for metric in shown))]
    for name, by_policy in scores.items():
        one = by_policy[policy]
        values = (with_interval(one.measures[metric]) for metric in shown)
        rows.append((name, one.rows, one.positives, sum(one.unparsed.values()), *values))
    yield from columns(rows)


def _average_lines(scores: Scores) -> Iterator[str]:
    begun = [name for name in AVERAGES if scores.keys() & set(tasks_of(name))]
    under = {policy: {task: by[policy] for task, by in scores.items()} for policy in Policy}
    found = {name: [average(under[policy], name) for policy in Policy] for name in begun}
    whole = {name: row for name, row in found.items() if not row[0].missing}
    if whole:
        yield ""
        head = ("average", "tasks", *(policy.value for policy in Policy))
        lines = [(name, len(row[0].tasks), *(with_interval(one.measure) for one in row)) for name, row in whole.items()]
        yield from columns([head, *lines])
    for name, row in found.items():
        if name not in whole:
            yield f"no {name}: {row[0].measure.why}"


def _measure_lines(scores: Scores, policy: Policy) -> Iterator[str]:
    metrics = [metric for metric in METRICS if metric != Metric.F1]
    rows: list[tuple[object, ...]] = [("task", "std of F1", *(metric.value for metric in metrics))]
    for name, by_policy in scores.items():
        measures = by_policy[policy].measures
        values = (number(measures[metric].value) for metric in metrics)
        rows.append((name, number(measures[Metric.F1].std), *values))
    yield from columns(rows)


def _notes(scores: Scores, policy: Policy) -> Iterator[str]:
    """What a reader must know: answers without a verdict, rows that are missing, and why there is no F1."""
    for task, by_policy in scores.items():
        name, one = one_line(task), by_policy[policy]
        if one.unparsed:
            reasons = ", ".join(f"{rows} × {one_line(reason)}" for reason, rows in one.unparsed.items())
            yield f"{name}: no verdict in {sum(one.unparsed.values())} of {one.rows} answers: {reasons}"
        if one.missing:
            yield f"{name}: {one.missing} rows are missing: some items were not answered in every generation"
        if one.f1.value is None:
            yield f"{name}: no F1: {one.f1.why}"
        if 0 < one.with_probability < one.rows:
            yield f"{name}: AUROC, AUPRC, ECE and Brier are of the {one.with_probability} rows with a probability"
