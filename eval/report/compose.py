"""From runs to their report. Pure, but for the paper's numbers, which are read from beside it."""

from collections.abc import Collection, Mapping, Sequence

from safety_reasoning.eval.benchmarks.item import Item
from safety_reasoning.eval.report.contradictions import contradictions
from safety_reasoning.eval.report.evaluated import Evaluated, evaluated
from safety_reasoning.eval.report.failures import failures
from safety_reasoning.eval.report.grids import grid
from safety_reasoning.eval.report.paper_tables import paper_tables
from safety_reasoning.eval.report.plots import Plot, budget_plot, data_plot, dual_plot, time_plot, words_plot
from safety_reasoning.eval.report.report import Report, Section
from safety_reasoning.eval.report.resources import access, needs
from safety_reasoning.eval.report.scored import Scored, scored
from safety_reasoning.eval.report.sections_compare import Pair, comparison_tables, pairs_of
from safety_reasoning.eval.report.sections_cost import added_by, baseline_of, cost_tables, costs_of
from safety_reasoning.eval.report.sections_paper import (
    access_table,
    contradiction_tables,
    paper_size,
    resource_table,
)
from safety_reasoning.eval.report.sections_parts import part_tables
from safety_reasoning.eval.report.sections_runs import runs_table, tasks_table, warnings
from safety_reasoning.eval.report.sections_scores import score_tables
from safety_reasoning.eval.report.traces import trace_lengths
from safety_reasoning.eval.runs.folder import Run
from safety_reasoning.eval.scores.comparable import Ground
from safety_reasoning.eval.scores.cost import Added, Cost
from safety_reasoning.eval.scores.policy import DEFAULT
from safety_reasoning.eval.scores.score import DRAWS

_PAPER = "Safety Through Reasoning (Sreedhar et al., 2025)"


def make_report(
    runs: Sequence[Run],
    *,
    rows: Mapping[str, str] | None = None,
    items: Mapping[str, Item] | None = None,
    force: Collection[Ground] = (),
    draws: int = DRAWS,
) -> Report:
    """The report of the runs.

    `rows`: the row of the paper of a run; `items`: by key, shown beside failures; `force`: what runs that are compared
    may differ in; `draws`: of each bootstrap interval.

    Raises: UsageError if a row of the paper is not there or claimed twice, or an extra is not installed.
    """
    placed = evaluated(runs, rows)
    found = scored(placed, draws=draws)
    return Report(
        title=f"Guards: {', '.join(run.label for run in placed[:4])}{' …' if len(placed) > 4 else ''}",
        summary=_summary(placed),
        warnings=warnings(placed),
        sections=_sections(placed, found, pairs_of(placed, force, draws=draws)),
        failures=failures(placed, items or {}),
    )


def _summary(runs: Sequence[Evaluated]) -> tuple[str, ...]:
    cells, _ = paper_size()
    tasks = {task for run in runs for task in run.tasks}
    mine = [run for run in runs if run.model is not None]
    return (
        f"{len(runs)} runs over {len(tasks)} tasks, beside the {cells} numbers in the tables of {_PAPER}."
        f" Runs that are of a model of the paper: {len(mine)}; a cell without one says that it was not run.",
    )


def _sections(runs: Sequence[Evaluated], found: Scored, pairs: Sequence[Pair]) -> tuple[Section, ...]:
    conflicts = contradictions()
    costs, base = costs_of(runs), baseline_of(runs)
    more = added_by(runs, base)
    return (
        Section(name="runs", title="The runs", tables=(runs_table(runs), tasks_table(runs))),
        Section(name="scores", title="Scores", tables=score_tables(runs, found)),
        Section(
            name="tables",
            title="Tables 1 to 12 of the paper",
            text="Harmful F1 of the runs, with its 95% interval over rows and its standard deviation over generations;"
            " beneath it, what the paper prints. Standard deviations of the paper are over generations alone: the noise"
            " of the rows is larger as a rule.",
            grids=tuple(grid(table, runs, found) for table in paper_tables().values()),
        ),
        Section(name="figures", title="Figures 2 to 5 of the paper", plots=_plots(runs, found, costs, more)),
        Section(name="comparisons", title="Comparisons", tables=comparison_tables(pairs)),
        Section(name="cost", title="Cost", tables=cost_tables(costs, more, base)),
        Section(
            name="parts",
            title="Parts of the tasks",
            text=f"An answer without a verdict counts as “{DEFAULT.value}”. A part has few rows, and its numbers are"
            " noisy.",
            tables=part_tables(runs),
        ),
        Section(
            name="contradictions",
            title="Where the paper disagrees with itself",
            text=f"{conflicts.total} contradictions among the printed numbers and in the text. What rounding can"
            " explain is not among them.",
            tables=contradiction_tables(conflicts),
        ),
        Section(
            name="resources",
            title="What it takes to regenerate the paper",
            tables=(resource_table(needs()), access_table(access())),
        ),
    )


def _plots(
    runs: Sequence[Evaluated], found: Scored, costs: Mapping[str, Cost], more: Mapping[str, Added]
) -> tuple[Plot, ...]:
    traces = {run.label: trace_lengths(run) for run in runs}
    return (
        data_plot(runs, found),
        budget_plot(runs, found, traces),
        time_plot(costs, more),
        words_plot(traces),
        dual_plot(runs, found),
    )
