"""What the runs of a report are, and what a reader has to know of them before believing a number. Pure."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.pages.tables import Cell, Column, Table, share

_HASH_DIGITS = 12
_MANY_UNPARSED = 0.01
_PAPER_SAMPLING = (4, 0.6, 0.95)
"""Generations, temperature and top-p (section 4.2)."""


def runs_table(runs: Sequence[Evaluated]) -> Table:
    """One row a run: what was run, and how."""
    columns = (
        *(Column("run", "run"), Column("paper_row", "row of the paper", "code"), Column("guard", "guard", "code")),
        *(Column("model", "model"), Column("revision", "revision"), Column("engine", "engine", "code")),
        *(Column("preset", "sampling", "code"), Column("generations", "generations", "count")),
        *(Column("tasks", "tasks", "count"), Column("rows", "rows", "count"), Column("unparsed", "unparsed", "share")),
        Column("prompt", "prompt", "code"),
    )
    return Table(
        name="runs",
        title="The runs",
        columns=columns,
        rows=tuple(_run(run) for run in runs),
        note="Unparsed: answers without a verdict, of all rows. Prompt: the beginning of its files' SHA-256.",
    )


def tasks_table(runs: Sequence[Evaluated]) -> Table:
    """One row a task of a run: which data, as the run states them."""
    columns = (
        *(Column("task", "task", "code"), Column("run", "run"), Column("source", "source")),
        *(Column("revision", "revision or SHA-256"), Column("preset", "preset"), Column("licence", "licence")),
        *(Column("rows", "rows", "count"), Column("positives", "positive", "count")),
    )
    rows = sorted((_task(run, name) for run in runs for name in run.stated_tasks), key=lambda row: str(row[:2]))
    return Table(name="tasks", title="The tasks", columns=columns, rows=tuple(rows), folded=True)


def warnings(runs: Sequence[Evaluated]) -> tuple[str, ...]:
    """What makes numbers uncertain, or runs hard to compare."""
    return tuple(_warnings(runs))


def _warnings(runs: Sequence[Evaluated]) -> Iterator[str]:
    unparsed = {run.label: run.run.rows["predicted"].null_count() / max(run.run.rows.height, 1) for run in runs}
    many = [f"{part:.1%} of {label}" for label, part in unparsed.items() if part > _MANY_UNPARSED]
    if many:
        yield f"answers without a verdict: {', '.join(many)}; read the numbers under all four parse policies"
    parts = dict.fromkeys(part for run in runs for part in _in_part(run))
    if parts:
        yield f"not the whole benchmark: {'; '.join(parts)}; their numbers are not those of the paper's rows"
    otherwise = [run.label for run in runs if run.model is not None and not _sampled_as_the_paper(run)]
    if otherwise:
        yield f"not sampled as in the paper (four generations, T = 0.6, top-p 0.95): {', '.join(otherwise)}"
    for task, by_data in _data(runs).items():
        if len(by_data) > 1:
            groups = "; ".join(", ".join(labels) for labels in by_data.values())
            yield f"{task}: the runs were not on the same rows ({groups}); their numbers are not to be compared"


def _in_part(run: Evaluated) -> Iterator[str]:
    """Tasks whose file is not as declared, or of whose items only some were asked about."""
    for name, said in run.stated_tasks.items():
        asked = said.get("asked")
        items = asked.get("items") if isinstance(asked, Mapping) else None
        if said.get("differences"):
            yield f"{name} was read from a file with other counts than declared"
        if items is not None and items != said.get("rows"):
            yield f"{items} of {said.get('rows')} items of {name}"


def _sampled_as_the_paper(run: Evaluated) -> bool:
    sampling = run.stated("sampling")
    values = sampling if isinstance(sampling, Mapping) else {}
    return (run.stated("generations"), values.get("temperature"), values.get("top_p")) == _PAPER_SAMPLING


def _data(runs: Sequence[Evaluated]) -> Mapping[str, Mapping[tuple[str, ...], list[str]]]:
    """By task: the sets of items that there are, and the runs on each."""
    found: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for run in runs:
        for task in run.tasks:
            items = run.run.rows.filter(pl.col("task") == task)["item"].unique().sort().to_list()
            found.setdefault(task, {}).setdefault(tuple(items), []).append(run.label)
    return found


def _run(run: Evaluated) -> tuple[Cell, ...]:
    rows = run.run.rows
    sampling = run.stated("sampling")
    preset = sampling.get("preset") if isinstance(sampling, Mapping) else sampling
    return (
        *(run.label, run.model.name if run.model else None, _text(run.stated("guard") or run.stated("adapter"))),
        *(_text(run.stated("model")), _text(run.stated("model_revision")), _text(run.stated("engine"))),
        *(_text(preset), rows["generation"].n_unique(), len(run.tasks), rows.height),
        *(share(rows["predicted"].null_count(), rows.height), _short(run.stated("prompt_sha256"))),
    )


def _task(run: Evaluated, name: str) -> tuple[Cell, ...]:
    said = run.stated_tasks[name]
    data = said.get("revision") or _short(said.get("sha256"))
    return (
        *(name, run.label, _text(said.get("source")), _text(data), _text(said.get("preset"))),
        *(_text(said.get("licence")), _count(said.get("rows")), _count(said.get("positives"))),
    )


def _count(value: object) -> Cell:
    return value if isinstance(value, int) else _text(value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _short(value: object) -> str | None:
    return None if value is None else str(value)[:_HASH_DIGITS]
