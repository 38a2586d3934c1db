"""The runs of a report, and which model of the paper each of them is a run of."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.report.paper_tables import paper_tables
from safety_reasoning.eval.report.paper_text import Model, models
from safety_reasoning.eval.runs.folder import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One run."""

    label: str
    """Unlike those of the report's other runs."""
    run: Run
    model: Model | None
    """The model of the paper that it is a run of; None: of one that the paper does not have."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those that it has rows of, sorted."""
        return tuple(sorted(self.run.rows["task"].unique()))

    def stated(self, name: str) -> Any:
        """What run.json says under a name; None where it says nothing."""
        return self.run.stated.get(name)

    @property
    def stated_tasks(self) -> Mapping[str, Mapping[str, Any]]:
        """What it says of its tasks, by their names."""
        return tasks_of(self.run)


def tasks_of(run: Run) -> dict[str, Mapping[str, Any]]:
    """What run.json says of the tasks, by their names; what is no task there is passed over."""
    said = run.stated.get("tasks")
    tasks = said if isinstance(said, list) else []
    return {str(task["name"]): task for task in tasks if isinstance(task, Mapping) and "name" in task}


def evaluated(runs: Sequence[Run], rows: Mapping[str, str] | None = None) -> tuple[Evaluated, ...]:
    """The runs, each with its model: by `rows` (run to row), else by `paper_row` or the name in its run.json.

    Raises: UsageError if a row or a run is not there, or if two runs give the same cell of the paper.
    """
    labels = _labels(runs)
    chosen = _chosen(dict(zip(labels, runs, strict=True)), rows or {})
    found = tuple(
        Evaluated(label=label, run=run, model=chosen.get(label) or _own(label, run))
        for label, run in zip(labels, runs, strict=True)
    )
    _refuse_two_of_a_cell(found)
    return found


def model_of(row: str) -> Model | None:
    """The model of a row of the paper, by its name here or as it is printed; None where the paper has none."""
    by_title = {line.title: line.name for table in reversed(list(paper_tables().values())) for line in table.rows}
    by_title |= {model.title: model.name for model in models().values()}
    return models().get(row) or models().get(by_title.get(row, ""))


def _labels(runs: Sequence[Run]) -> list[str]:
    """The folders' names; with a number where several have the same."""
    names = [run.path.resolve().name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: index + 1].count(name)})"
        for index, name in enumerate(names)
    ]


def _chosen(runs: Mapping[str, Run], rows: Mapping[str, str]) -> dict[str, Model]:
    chosen: dict[str, Model] = {}
    for run, row in rows.items():
        labels = [label for label, one in runs.items() if run in (label, str(one.path), one.path.resolve().name)]
        if not labels:
            raise UsageError(f"--as {run}={row}: no such run", fix=f"one of {', '.join(runs)}")
        model = model_of(row)
        if model is None:
            raise UsageError(f"--as {run}={row}: the paper has no such row", fix=f"one of {', '.join(models())}")
        chosen |= dict.fromkeys(labels, model)
    return chosen


def _own(label: str, run: Run) -> Model | None:
    """By what the run says of itself; a `paper_row` that is not there is a mistake, a name may be anything."""
    row = run.stated.get("paper_row")
    if row is None:
        return model_of(str(run.stated.get("name", "")))
    model = model_of(str(row))
    if model is None:
        raise UsageError(
            f"run {label} names a row that the paper does not have",
            why="`paper_row` of its run.json is none of the rows",
            fix=f"give --as {label}=ROW with one of {', '.join(models())}",
        )
    return model


def _refuse_two_of_a_cell(found: Sequence[Evaluated]) -> None:
    """Two runs of a model are read together where their tasks differ; Table 4's are four training sets."""
    seen: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in found:
        if one.model is not None and not several_sets(one.model):
            for task in one.tasks:
                seen[one.model.name, task].append(one.label)
    for (row, task), labels in seen.items():
        if len(labels) > 1:
            raise UsageError(
                f"runs {' and '.join(labels)} are both taken for row {row} of the paper",
                why=f"both have task {task}, and a cell has one number",
                fix="report on one of them, or give one another row with --as RUN=ROW",
            )


def several_sets(model: Model) -> bool:
    """Whether the paper trains it several times, on other samples each time."""
    return paper_tables()[4].row(model.name) is not None
