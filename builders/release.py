"""Write a release: a folder made aside, validated, and put into place as a whole.

Same records, same bytes: rows are sorted by key, nothing carries a time.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.builders.join import Joined
from safety_reasoning.builders.left_out import LeftOut
from safety_reasoning.builders.manifest import Manifest, make_manifest
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.records import Record, input_columns
from safety_reasoning.builders.sources.load import Loaded
from safety_reasoning.cards.render import render_card
from safety_reasoning.cards.statistics import statistics
from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.place import replaced
from safety_reasoning.schemas.columns import JSONL_FILE, Naming, Task, families
from safety_reasoning.schemas.features import arrow_schema
from safety_reasoning.schemas.folder import MANIFEST, validate_folder
from safety_reasoning.schemas.record import record_schema

_ROW_GROUP = 10_000
"""Rows; about 100 MB of long traces, which the Hub's viewer reads in one go."""
_CHUNKS: Any = {"min_chunk_size": 64 * 1024, "max_chunk_size": 256 * 1024, "norm_level": 0}
"""Bytes of a page, cut by content: of eight layouts the one that shares most with the version before. (pyarrow's types
know only a flag.)"""
_CARD = "README.md"


def write_release(recipe: Recipe, loaded: Loaded, joined: Joined) -> Manifest:
    """Write, validate and put into place the recipe's release; the old one stays whole until then.

    Raises: UsageError if there is nothing to release, the place cannot be written, or validation fails.
    """
    if not joined.records:
        raise UsageError(
            "nothing is left to release",
            why=f"all {len(joined.left_out) + len(loaded.left_out)} rows and samples were left out",
            fix="see the counts above; loosen `release.keep`, or mend the teacher",
        )
    out = Path(recipe.release.out)
    with replaced(out, marker=MANIFEST, what="release") as folder:
        manifest = _write(folder, recipe, loaded, joined)
        report = validate_folder(folder)
        if report.total:
            raise UsageError(
                f"the release does not validate: {report.total} violations",
                why="\n     ".join(str(v) for v in report.violations[:5]),
                fix="this is a fault of safety-reasoning; the old release is untouched",
            )
    return manifest


def _write(folder: Path, recipe: Recipe, loaded: Loaded, joined: Joined) -> Manifest:
    left_out = sorted(
        [*loaded.left_out, *joined.left_out],
        key=lambda i: (i.source, i.file, i.row, i.key, i.reason, i.detail),
    )
    configs: dict[Task, Manifest] = {}
    for task in Task:
        records = sorted((r for r in joined.records if r.sample.task is task), key=lambda r: r.key)
        if records:
            configs[task] = _write_config(folder, task, records, recipe.release.columns)
        _write_left_out(folder, task, [item for item in left_out if item.task == task])
    manifest = make_manifest(recipe, loaded, joined, left_out, configs)
    (folder / _CARD).write_text(render_card(manifest), encoding="utf-8")
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    _write_json(folder / MANIFEST, manifest)
    return manifest


def _write_config(folder: Path, task: Task, records: Sequence[Record], naming: Naming) -> Manifest:
    teachers = sorted(records[0].traces)
    schema = record_schema(task, teachers, naming)
    rows = [record_columns(record, task, naming) for record in records]
    jsonl = folder / JSONL_FILE[task]
    with jsonl.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    parquet = folder / "data" / task / "train-00000-of-00001.parquet"
    table = pa.Table.from_pylist(rows, schema=arrow_schema(schema))
    _write_parquet(parquet, table)
    (folder / "schemas").mkdir(exist_ok=True)
    _write_json(folder / "schemas" / f"{task}.schema.json", schema)
    return {
        "records": len(rows),
        "teachers": teachers,
        "jsonl": jsonl.name,
        "parquet": [parquet.relative_to(folder).as_posix()],
        "schema": f"schemas/{task}.schema.json",
        "arrow_bytes": table.nbytes,
        "parquet_bytes": parquet.stat().st_size,
        "statistics": statistics(task, records, teachers),
    }


def record_columns(record: Record, task: Task, naming: Naming) -> dict[str, Any]:
    """The record as a row: its columns in the card's order, teachers sorted within each family."""
    row: dict[str, Any] = input_columns(record.sample)
    names = families(task, naming)
    teachers = sorted(record.traces.items())
    row |= {names.full + name: traces.full for name, traces in teachers}
    row |= {names.efficient + name: traces.efficient for name, traces in teachers}
    row |= {names.mismatch + name: traces.mismatch for name, traces in teachers}
    return row


def _write_left_out(folder: Path, task: Task, items: Sequence[LeftOut]) -> None:
    columns = {field.name: pl.String for field in dataclasses.fields(LeftOut)} | {"row": pl.Int64}
    frame = pl.DataFrame([dataclasses.asdict(item) for item in items], schema=columns)
    _write_parquet(folder / "left_out" / f"{task}.parquet", frame.to_arrow())


def _write_parquet(path: Path, table: pa.Table) -> None:
    """As the Hub likes it: with a page index, and pages cut by content so that versions share them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        path,
        compression="zstd",
        row_group_size=_ROW_GROUP,
        write_page_index=True,
        use_content_defined_chunking=_CHUNKS,
    )


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
