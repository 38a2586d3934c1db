"""Releases of chosen rows, made the way `import` makes them; folders of Parquet without a manifest; how they differ."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.schemas.columns import JSONL_FILE, Task, teachers_in
from safety_reasoning.schemas.features import arrow_schema
from safety_reasoning.schemas.record import record_schema
from tests.conftest import aegis_row, build_here, write_recipe

Row = dict[str, Any]
CONTENT, TOPIC = Task.CONTENT_SAFETY, Task.TOPIC_CONTROL


def content(number: int, *teachers: str, **changes: Any) -> Row:
    """A content-safety record whose traces pass the filters."""
    row = aegis_row(id=f"{number:032x}", prompt=f"How do I sharpen kitchen knife number {number}?")
    row |= {"prompt_harm_label": "unharmful", "response_harm_label": None}
    names = teachers or ("a",)
    row |= {f"safety_reasoning_{t}": f"The user asks {t} about knife {number}, which is ordinary." for t in names}
    row |= {f"efficient_safety_reasoning_trace_{t}": f"A knife is an ordinary thing to {t}." for t in names}
    row |= {f"prediction_gt_mismatch_{t}": False for t in names}
    return row | changes


def topic(number: int, *teachers: str, **changes: Any) -> Row:
    """A topic-control record whose traces pass the filters."""
    row: Row = {
        "system_instruction": "Speak about bread and about nothing else.",
        "conversation_history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}],
        "last_user_message": f"Who won match number {number}?",
        "gt_topic_classification": "off-topic",
    }
    names = teachers or ("a",)
    row |= {f"safety_reasoning_trace_{t}": f"Match {number} has nothing to do with bread for {t}." for t in names}
    row |= {f"efficient_reasoning_trace_{t}": f"A match is not about bread for {t}." for t in names}
    row |= {f"prediction_gt_mismatch_{t}": False for t in names}
    return row | changes


def write_lines(folder: Path, rows: Mapping[Task, Iterable[Row]]) -> Path:
    """A folder with the published files and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, records in rows.items():
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / JSONL_FILE[task]).write_text(text, encoding="utf-8")
    return folder


def write_tables(folder: Path, rows: Mapping[Task, Iterable[Row]]) -> Path:
    """A folder with the Parquet of a release and nothing else."""
    for task, records in rows.items():
        found = list(records)
        schema = arrow_schema(record_schema(task, teachers_in(found[0])))
        path = folder / "data" / task / "train-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(found, schema=schema), path)
    return folder


def make_release(folder: Path, contents: Iterable[Row], topics: Iterable[Row] = (), **release: Any) -> Path:
    """A whole release of these rows."""
    rows = {task: list(records) for task, records in ((CONTENT, contents), (TOPIC, topics))}
    source = write_lines(folder / "source", {task: records for task, records in rows.items() if records})
    recipe = write_recipe(
        folder / "recipe.toml", sources=[{"kind": "published", "path": source}], teachers=[], **release
    )
    build_here(recipe)
    return folder / "release"
