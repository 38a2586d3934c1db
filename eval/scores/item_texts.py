"""The texts of a run's items, which its row file does not hold: from the tasks again, or from a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from safety_reasoning.errors import UsageError

Texts = dict[tuple[str, str], str]
"""Prompts by task and key."""
_COLUMNS = ("task", "item", "prompt")


def texts_from_tasks(stated: Mapping[str, Any], places: Mapping[str, Path]) -> Texts:
    """Those of the tasks that a run.json names, read again: from `places` by task, else where `eval run` reads them.

    Raises: UsageError if it names none, if a place is of none of them, or if one cannot be read.
    """
    from safety_reasoning.eval.benchmarks.load import load_task

    tasks = stated.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, Mapping) and "name" in task for task in tasks):
        raise UsageError("run.json names no tasks", fix="give the items' texts with --items")
    names = sorted(str(task["name"]) for task in tasks)
    if foreign := sorted(places.keys() - set(names)):
        raise UsageError(f"the run has no task {foreign[0]!r}", fix=f"give places of {', '.join(names)}")
    texts: Texts = {}
    for task in tasks:
        name = str(task["name"])
        loaded = load_task(name, place=places.get(name), preset=task.get("preset"), counts="as they are")
        texts |= {(name, item.key): item.prompt for item in loaded.items}
    return texts


def texts_from_file(path: Path) -> Texts:
    """Those of a Parquet or JSON Lines file with the columns `task`, `item` (its key) and `prompt`.

    Raises: UsageError if it cannot be read or lacks a column.
    """
    if path.suffix not in (".parquet", ".jsonl"):
        raise UsageError(f"{path} is neither .parquet nor .jsonl", fix="give the items' texts in such a file")
    try:
        rows = pl.read_parquet(path, glob=False) if path.suffix == ".parquet" else pl.read_ndjson(path)
    except OSError as error:
        raise UsageError(f"the items' texts {path} cannot be read", why=error.strerror or str(error)) from error
    except pl.exceptions.PolarsError as error:
        why = f"it is empty, or no {'Parquet' if path.suffix == '.parquet' else 'JSON Lines'}"
        fix = f"give a file with the columns {', '.join(_COLUMNS)}"
        raise UsageError(f"the items' texts {path} cannot be read", why=why, fix=fix) from error
    lacking = [name for name in _COLUMNS if rows.schema.get(name) != pl.String()]
    if lacking:
        raise UsageError(
            f"the items' texts {path} have no column {lacking[0]!r} of texts",
            why=f"it has {', '.join(f'{name} ({kind})' for name, kind in rows.schema.items())}",
            fix=f"give the columns {', '.join(_COLUMNS)}",
        )
    return {(task, key): prompt for task, key, prompt in rows.select(_COLUMNS).drop_nulls().iter_rows()}
