"""Plots: the figures of the paper again, as numbers. Pure; eval/report/figures.py draws them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from safety_reasoning.eval.report.evaluated import Evaluated, several_sets
from safety_reasoning.eval.report.grids import Results
from safety_reasoning.eval.report.paper_tables import Cell, Measure, paper_tables
from safety_reasoning.eval.report.paper_text import models, paper_figures
from safety_reasoning.eval.report.traces import TraceLengths
from safety_reasoning.eval.scores.cost import Added, Cost
from safety_reasoning.pages.tables import Column, Table

PAPER = "paper"
PANELS: Mapping[str, str] = {"prompt5": "prompts (5 tasks)", "resp4": "responses (4 tasks)", "safety9": "all 9 tasks"}
_DUAL = {"l31_wildguardmix_dual": "Llama-3.1-8B", "gemma3_wildguardmix_dual": "Gemma-3-4B"}
_DUAL_PANELS = {"safety9": "all 9 safety tasks", "custom_mean2": "custom policies"}
FULL_SENTENCES = 15
"""Where full traces stand on an axis of sentences: the paper's own average so many (section 5.3)."""
_FEWEST = 3
"""Traces that a mean of words is drawn of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point or bar of a figure."""

    panel: str
    """Which of the figure's parts it belongs to."""
    series: str
    """PAPER, or whose it is."""
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One figure."""

    name: str
    """In HTML and JSON."""
    title: str
    text: str
    x: str
    """What the horizontal axis counts."""
    y: str
    points: tuple[Point, ...]
    ticks: tuple[str, ...] = ()
    """What 0, 1, … stand for on the horizontal axis; () where they are numbers."""
    bars: bool = False
    """A bar for each point, named by its series; else points that are joined."""

    @property
    def table(self) -> Table:
        """Its points in rows."""
        columns = (
            *(Column("panel", "of"), Column("series", "series"), Column("x", self.x, "number")),
            *(Column("y", self.y, "ratio"), Column("low", "from", "ratio"), Column("high", "to", "ratio")),
            Column("note", "note"),
        )
        rows = tuple((one.panel, one.series, one.x, one.y, one.low, one.high, one.note) for one in self.points)
        title = f"Points of {self.title.partition(':')[0]}"
        return Table(name=self.name, title=title, columns=columns, rows=rows, empty="no run gives one", folded=True)


def data_plot(runs: Sequence[Evaluated], results: Results) -> Plot:
    """Figure 2: F1 by number of training samples."""
    points = [
        Point(
            panel=PANELS[cell.of],
            series=PAPER,
            x=models()[row.name].samples or 0,
            y=y,
            low=y - std,
            high=y + std,
            note=f"{cell.place}; from and to: a standard deviation over training sets",
        )
        for row in paper_tables()[4].rows
        for (cell, y), (_, std) in zip(
            _printed(row.cells, "mean_training_sets"), _printed(row.cells, "std_training_sets"), strict=True
        )
    ]
    sets: defaultdict[int, list[Evaluated]] = defaultdict(list)
    for run in runs:
        if run.model is not None and run.model.samples and several_sets(run.model):
            sets[run.model.samples].append(run)
        elif run.model is not None and run.model.samples:
            points += _averages([run], results, run.model.samples, "f1", run.label)
    for samples, mine in sorted(sets.items()):
        points += _averages(mine, results, samples, "mean_training_sets", "runs, over training sets")
    return _plot(2, "training samples", "harmful F1", points)


def budget_plot(runs: Sequence[Evaluated], results: Results, traces: Mapping[str, TraceLengths]) -> Plot:
    """Figure 3: F1 by sentences of a trace: the budget that the model was trained with, or what its traces have."""
    points = [
        Point(panel=PANELS[cell.of], series=PAPER, x=x, y=y, note=cell.place)
        for row, x in (("l31_wildguardmix_r_1sentence", 1), ("l31_wildguardmix_r_full", FULL_SENTENCES))
        for cell, y in _printed(next(one.cells for one in paper_tables()[1].rows if one.name == row), "f1")
    ]
    for run in runs:
        budget = run.model.sentences if run.model is not None else None
        x, note = (budget, "budget") if budget else (traces[run.label].sentences, "mean of its traces")
        points += _averages([run], results, x, "f1", run.label, note)
        points += _shared(run, runs, results, x, note)
    return _plot(3, "sentences of a trace", "harmful F1", points)


def time_plot(costs: Mapping[str, Cost], more: Mapping[str, Added]) -> Plot:
    """Figure 4: seconds a sample; notes say by how much that is above the baseline."""
    timed = {label: one.per_sample_s for label, one in costs.items() if one.per_sample_s is not None}
    points = [
        Point(panel="runs", series=label, x=index, y=seconds, note=_overhead(more.get(label)))
        for index, (label, seconds) in enumerate(timed.items(), start=1)
    ]
    return replace(_plot(4, "run", "seconds a sample", points), bars=True)


def words_plot(traces: Mapping[str, TraceLengths]) -> Plot:
    """Figure 5: mean words of the traces with so many sentences."""
    points = [
        Point(panel="traces", series=label, x=sentences, y=words, note=f"{count} traces")
        for label, lengths in traces.items()
        for sentences, (count, words) in lengths.words_by_sentences.items()
        if count >= _FEWEST
    ]
    return _plot(5, "sentences of a trace", "words of a trace, mean", points)


def dual_plot(runs: Sequence[Evaluated], results: Results) -> Plot:
    """No figure of the paper, which has dual mode in its tables alone: F1 without reasoning and with it."""
    points = []
    for first, name in _DUAL.items():
        for x, row in enumerate((f"{first}_nr", f"{first}_r")):
            lines = [line for number in (1, 9) for line in paper_tables()[number].rows if line.name == row]
            points += [
                Point(panel=_DUAL_PANELS[cell.of], series=f"{PAPER}, {name}", x=x, y=float(cell.value), note=cell.place)
                for cell in (cell for line in lines for cell in line.cells)
                if cell.of in _DUAL_PANELS
            ]
            mine = [run for run in runs if run.model is not None and run.model.name == row]
            points += [point for of, panel in _DUAL_PANELS.items() for point in _one(mine, results, of, panel, x, name)]
    return Plot(
        name="dual_mode",
        title="Dual mode: harmful F1 without and with reasoning",
        text="No figure of the paper: its numbers are those of Tables 1 and 9. 0 is without reasoning, 1 with it.",
        x="reasoning",
        y="harmful F1",
        points=tuple(points),
        ticks=("off", "on"),
    )


def _one(runs: Sequence[Evaluated], results: Results, of: str, panel: str, x: float, name: str) -> Iterator[Point]:
    found = results.estimate(runs, of, "f1") if runs else ""
    if not isinstance(found, str):
        yield Point(panel=panel, series=name, x=x, y=found.value, low=found.low, high=found.high)


def _plot(number: int, x: str, y: str, points: Sequence[Point]) -> Plot:
    said = paper_figures()[number]
    numbers = "; ".join(f"{models()[one.row].title}: {one.value} {one.unit}" for one in said.numbers)
    text = f"{said.drawn} {numbers}." if numbers else said.drawn
    title = f"Figure {number}: {said.title}"
    return Plot(name=f"figure_{number}", title=title, text=text, x=x, y=y, points=tuple(points))


def _printed(cells: Sequence[Cell], measure: Measure) -> Iterator[tuple[Cell, float]]:
    return ((cell, float(cell.value)) for cell in cells if cell.of in PANELS and cell.measure == measure)


def _averages(
    runs: Sequence[Evaluated], results: Results, x: float, measure: Measure, series: str, note: str = ""
) -> Iterator[Point]:
    """A point in each panel whose tasks were run."""
    for of, panel in PANELS.items():
        found = results.estimate(runs, of, measure)
        if not isinstance(found, str):
            yield Point(panel=panel, series=series, x=x, y=found.value, low=found.low, high=found.high, note=note)


def _shared(run: Evaluated, runs: Sequence[Evaluated], results: Results, x: float, note: str) -> Iterator[Point]:
    """A point of the mean over the tasks that every run has: what can be compared where no average is whole."""
    tasks = sorted(set.intersection(*(set(one.tasks) for one in runs)))
    found = [results.estimate([run], task, "f1") for task in tasks]
    values = [one.value for one in found if not isinstance(one, str)]
    if tasks and len(values) == len(tasks):
        panel = f"mean of the {len(tasks)} tasks that all runs have" if len(tasks) > 1 else tasks[0]
        yield Point(panel=panel, series=run.label, x=x, y=fmean(values), note=note)


def _overhead(more: Added | None) -> str:
    if more is None:
        return ""
    return more.why if more.overhead is None else f"{more.overhead:+.1%}".replace("-", "\N{MINUS SIGN}")
