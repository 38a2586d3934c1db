"""What verdicts cost: latency, tokens, and F1 against both. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.eval.scores.cost import Added, Cost, added, cost_of
from safety_reasoning.eval.scores.policy import DEFAULT
from safety_reasoning.pages.tables import Cell, Column, Row, Table

_RUN = Column("run", "run")
_PAPER_BASELINE = "l31_wildguardmix_nr"


def costs_of(runs: Sequence[Evaluated]) -> dict[str, Cost]:
    """By label. The F1 of its bins has no intervals: they are for seeing a slope."""
    return {run.label: cost_of(run.run.rows, run.run.stated, draws=0) for run in runs}


def baseline_of(runs: Sequence[Evaluated]) -> Evaluated | None:
    """The run that reasoning is held against: the paper's baseline, else the first without traces; None without one."""
    without = [run for run in runs if not (run.run.rows["reasoning"] != "").any()]
    paper = (run for run in without if run.model is not None and run.model.name == _PAPER_BASELINE)
    return next(paper, without[0] if without else None)


def added_by(runs: Sequence[Evaluated], base: Evaluated | None) -> dict[str, Added]:
    """By label, what each run but the baseline adds to it."""
    if base is None:
        return {}
    ground = base.run
    return {
        run.label: added(run.run.rows, run.run.stated, ground.rows, ground.stated, DEFAULT)
        for run in runs
        if run is not base
    }


def cost_tables(costs: Mapping[str, Cost], more: Mapping[str, Added], base: Evaluated | None) -> tuple[Table, ...]:
    """Latency and tokens, what reasoning adds, and F1 by length of the trace."""
    return (_latency(costs), _tokens(costs), _added(more, base), _by_length(costs))


def _latency(costs: Mapping[str, Cost]) -> Table:
    columns = (
        *(_RUN, Column("concurrency", "concurrency", "count"), Column("timed", "timed rows", "count")),
        *(Column("p50_s", "p50, s", "ratio"), Column("p95_s", "p95, s", "ratio"), Column("mean_s", "mean, s", "ratio")),
        Column("per_sample_s", "a sample, s", "ratio"),
    )
    rows = tuple(
        (label, one.concurrency, one.timed, one.p50_s, one.p95_s, one.mean_s, one.per_sample_s)
        for label, one in costs.items()
        if one.timed
    )
    return Table(
        name="latency",
        title="Latency",
        columns=columns,
        rows=rows,
        note="A sample: mean latency by calls in flight, the time for a sample of a server that is kept busy, as in"
        " Figure 4. Latencies of other machines or of another concurrency are not to be compared.",
        empty="no run's engine gives a latency of its calls",
    )


def _tokens(costs: Mapping[str, Cost]) -> Table:
    columns = (
        *(_RUN, Column("kind", "tokens of the", "code"), Column("mean", "mean", "number")),
        *(Column("p50", "p50", "number"), Column("p95", "p95", "number")),
        Column("per_verdict", "for a verdict", "number"),
    )
    rows = tuple(
        (label, kind, one.mean, one.p50, one.p95, one.per_verdict)
        for label, cost in costs.items()
        for kind, one in cost.tokens.items()
    )
    return Table(name="tokens", title="Tokens", columns=columns, rows=rows, empty="no run reports its tokens")


def _added(more: Mapping[str, Added], base: Evaluated | None) -> Table:
    columns = (
        *(_RUN, Column("tasks", "common tasks", "count"), Column("added_ms", "added ms", "number")),
        *(Column("overhead", "overhead", "share"), Column("f1", "mean F1", "ratio")),
        *(Column("added_f1", "added F1", "ratio"), Column("why", "why not")),
    )
    rows: tuple[Row, ...] = tuple(
        (label, len(one.tasks), one.added_ms, one.overhead, one.f1, one.added_f1, one.why)
        for label, one in more.items()
    )
    return Table(
        name="added",
        title=f"What runs add to {base.label}" if base else "What reasoning adds",
        columns=columns,
        rows=rows,
        note="Mean latency and mean F1 over the tasks that both have. The paper: 170.7% overhead of full traces, 34.9%"
        " of one sentence.",
        empty="no other run to hold against one without traces" if base else "no run is without traces",
    )


def _by_length(costs: Mapping[str, Cost]) -> Table:
    columns = (
        *(_RUN, Column("task", "task", "code"), Column("tokens", "tokens of the trace")),
        *(Column("rows", "rows", "count"), Column("f1", "F1", "ratio")),
    )
    return Table(
        name="f1_by_trace_tokens",
        title="F1 by length of the trace",
        columns=columns,
        rows=tuple(_bins(costs)),
        note="Rows of a task in quartiles by the tokens of their traces.",
        empty="no task has traces of several lengths",
        folded=True,
    )


def _bins(costs: Mapping[str, Cost]) -> Iterator[tuple[Cell, ...]]:
    for label, cost in costs.items():
        for task, bins in cost.by_length.items():
            for one in bins:
                yield (label, task, one.tokens, one.rows, one.f1.value)
