"""What it takes to regenerate the paper's cells: weights, training, memory, and access to the benchmarks."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from safety_reasoning.eval.benchmarks.declaration import load_declaration
from safety_reasoning.eval.report.paper_tables import paper_tables
from safety_reasoning.eval.report.paper_text import Model, models
from safety_reasoning.eval.scores.averages import AVERAGES, tasks_of

_RUN_BYTES = 2
"""A parameter in bfloat16. What the context and its cache take comes on top."""
_TRAIN_BYTES = 16
"""A parameter in full fine-tuning with AdamW in mixed precision: 2 of weights, 2 of gradients, and in float32 4 of
weights and 8 of moments. Activations come on top; adapters (LoRA) need about the bytes of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What it takes to fill the rows of one model."""

    model: Model
    cells: Mapping[int, int]
    """How many cells it has, by table."""
    tasks: frozenset[str]
    """The benchmarks behind them."""

    @property
    def trained(self) -> bool:
        """Whether the model has to be trained first: its weights were not published."""
        return not self.model.weights

    @property
    def run_gb(self) -> float:
        """Memory of the weights alone, in GB, to run it."""
        return float(self.model.parameters) * _RUN_BYTES

    @property
    def train_gb(self) -> float | None:
        """Memory of weights, gradients and optimizer, in GB over all devices; None: it is not trained."""
        return float(self.model.parameters) * _TRAIN_BYTES if self.trained else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What it takes to have a benchmark of the paper."""

    task: str
    page: str
    """Where it is, and where access is asked for."""
    gated: bool
    rows: int | None
    """Of the default preset; None: not known."""
    cells: int
    """Cells of the paper that need it, averages among them."""


def access() -> tuple[Access, ...]:
    """Of every benchmark behind the tables, sorted."""
    cells = Counter(
        task
        for table in paper_tables().values()
        for row in table.rows
        for cell in row.cells
        for task in _tasks_of(cell.of)
    )
    return tuple(_access(task, count) for task, count in sorted(cells.items()))


def _access(task: str, cells: int) -> Access:
    declared = load_declaration(task)
    rows = declared.presets[declared.default].rows
    return Access(task=task, page=declared.source.page, gated=declared.source.gated, rows=rows, cells=cells)


def _tasks_of(column: str) -> tuple[str, ...]:
    return tasks_of(column) if column in AVERAGES else (column,)


def needs() -> tuple[Need, ...]:
    """Of every model in the tables, those with public weights first."""
    cells: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    tasks: defaultdict[str, set[str]] = defaultdict(set)
    for table in paper_tables().values():
        for row in table.rows:
            for cell in row.cells:
                cells[row.name][table.number] += 1
                tasks[row.name] |= set(_tasks_of(cell.of))
    found = (Need(model=models()[name], cells=cells[name], tasks=frozenset(tasks[name])) for name in cells)
    return tuple(sorted(found, key=lambda need: need.trained))
