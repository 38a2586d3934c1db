"""Costs, escalation and contamination as lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence

from safety_reasoning.eval.scores.contamination import KINDS, Contamination, Trained
from safety_reasoning.eval.scores.cost import NO_LATENCY, Added, Cost
from safety_reasoning.eval.scores.escalation import Escalated
from safety_reasoning.eval.scores.text import columns, in_percent, number, one_line, with_interval

_HEAD = ("run", "rows", "concurrency", "p50", "p95", "mean", "per sample", "trace", "answer", "trace/verdict")
_HEAD_ADDED = ("run", "tasks", "added ms", "overhead", "F1", "added F1")


def cost_lines(costs: Mapping[str, Cost], beside: Mapping[str, Added]) -> Iterator[str]:
    """One line a run, what each takes and gives beyond the first, and F1 by the length of the trace."""
    yield "latency in seconds at the stated concurrency; tokens: mean over rows, and all that were spent for a verdict"
    yield from columns([_HEAD, *(_cost(name, cost) for name, cost in costs.items())])
    for name, cost in costs.items():
        if not cost.timed:
            yield one_line(f"{name}: no latency: {NO_LATENCY}")
        elif cost.timed < cost.rows:
            yield one_line(f"{name}: {cost.rows - cost.timed} rows have no latency")
    if beside:
        yield ""
        yield f"beside {one_line(next(iter(costs)))}, over the items of both"
        yield from columns([_HEAD_ADDED, *(_added(name, one) for name, one in beside.items())])
        yield from (one_line(f"{name}: {one.why}") for name, one in beside.items() if one.why)
    for name, cost in costs.items():
        for task, bins in cost.by_length.items():
            if bins:
                yield ""
                yield one_line(f"{name}, {task}: F1 by tokens of the trace")
                rows = [(one.tokens, one.rows, with_interval(one.f1)) for one in bins]
                yield from columns([("tokens", "rows", "F1"), *rows])


def _cost(name: str, cost: Cost) -> tuple[object, ...]:
    trace, answer = cost.tokens.get("trace"), cost.tokens.get("answer")
    return (
        name,
        cost.rows,
        cost.concurrency if cost.concurrency is not None else "-",
        number(cost.p50_s),
        number(cost.p95_s),
        number(cost.mean_s),
        number(cost.per_sample_s, 4),
        number(None if trace is None else trace.mean, 1),
        number(None if answer is None else answer.mean, 1),
        number(None if trace is None else trace.per_verdict, 1),
    )


def _added(name: str, one: Added) -> tuple[object, ...]:
    return (
        name,
        len(one.tasks),
        number(one.added_ms, 1),
        in_percent(one.overhead),
        number(one.f1),
        number(one.added_f1),
    )


def escalation_lines(found: Mapping[str, Escalated], *, give_up: float) -> Iterator[str]:
    """One table a task, on the half that nothing was chosen on; the chosen band has a star."""
    for name, task in found.items():
        yield f"{one_line(name)}: {task.reported_on} items; the band was chosen on {task.chosen_on} others"
        if not task.with_probability:
            yield "  the fast run has no probabilities: only answers without a verdict are escalated"
        rows: list[tuple[object, ...]] = [("  asks the slow guard", "escalated", "F1", "tokens", "latency s")]
        for one in task.outcomes:
            star = "*" if one.band == task.chosen else " "
            latency = number(one.latency_s)
            rows.append(
                (f"{star} {one.band}", in_percent(one.escalated), with_interval(one.f1), number(one.tokens, 1), latency)
            )
        yield from columns(rows)
        if task.chosen is None:
            yield f"  no band is chosen: {task.outcomes[0].f1.why or 'no F1 on the choosing half'}"
        else:
            yield f"  * asks least often of those within {give_up} of the best F1 of the choosing half"
        if task.only_fast or task.only_slow:
            yield f"  left out: {task.only_fast} rows of the fast run alone, {task.only_slow} of the slow one"
        yield ""


def contamination_lines(found: Sequence[Contamination], trained: Trained) -> Iterator[str]:
    """One line a task."""
    index = trained.index
    yield f"{trained.rows} rows of the mixture, {trained.texts} different texts; an item is in it if it equals one,"
    yield f"or shares {index.min_share:.0%} of the {index.n}-grams of the shorter text"
    if trained.uncut:
        yield f"{trained.uncut} rows have other prompts than ours: they are compared whole, so that only n-grams tell"
    rows: list[tuple[object, ...]] = [("task", "items", *KINDS, "too short", "F1", "F1 without them")]
    for one in found:
        without = "-" if one.clean is None else with_interval(one.clean.f1)
        kinds = (one.found[kind] for kind in KINDS)
        rows.append((one.task, one.items, *kinds, one.too_short, with_interval(one.all_rows.f1), without))
    yield from columns(rows)
    for one in found:
        if one.without_text:
            so = "they count as clean" if one.items else "nothing can be said of the task"
            yield one_line(f"{one.task}: the text of {one.without_text} items is not known: {so}")
        if one.clean is None and one.items:
            yield one_line(f"{one.task}: no item is left without the contaminated ones")
        for name, score in (("F1", one.all_rows), ("F1 without them", one.clean)):
            if score is not None and score.f1.value is None:
                yield one_line(f"{one.task}: no {name}: {score.f1.why}")
