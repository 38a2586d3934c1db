"""What mixture.json states of a mixture, and the tables beside it of the rows that are not in it."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from safety_reasoning.files import sha256_of
from safety_reasoning.hub.reading import Side
from safety_reasoning.schemas.folder import MANIFEST
from safety_reasoning.train.decontaminate import Index
from safety_reasoning.train.decontaminate_texts import BenchmarkRecipe, load_benchmarks
from safety_reasoning.train.mixture_plan import Plan
from safety_reasoning.train.mixture_recipe import DecontaminateRecipe, MixtureRecipe
from safety_reasoning.train.mixture_unused import UnusedRow
from safety_reasoning.train.mixture_write import MixtureWriter

Stated = dict[str, Any]
"""JSON values; the mixture's mixture.json."""
FORMAT = 1
_FILES = ("out", "parts", "policy", "suicide_detection", "decontaminate", "oversample", "mark")
"""Fields of the recipe that are stated otherwise: paths are this machine's affair."""
TOO_SHORT = "decontamination/too_short.parquet"

STATED = "mixture.json"
"""What says that a folder is a mixture, and what is in it."""


def state(recipe: MixtureRecipe, plans: Sequence[Plan], index: Index | None, writer: MixtureWriter) -> Stated:
    """What there is to say of the mixture, without its files; no time stamps, no paths, no text of a row."""
    mark = recipe.marked
    return {
        "format": FORMAT,
        **recipe.model_dump(mode="json", exclude=set(_FILES)),
        "hash": writer.hash,
        "rows": writer.rows,
        "configs": {"default": {"records": writer.rows}},
        "tool": {"name": "safety-reasoning", "version": version("safety-reasoning")},
        "mark": None if mark is None else dataclasses.asdict(mark),
        "policy": _named(recipe.policy),
        "reconstructed": recipe.suicide_detection is not None,
        "oversample": None
        if recipe.oversample is None
        else {"keys": _named(recipe.oversample.keys), "times": recipe.oversample.times},
        "parts": [_part(plan, recipe, number) for number, plan in enumerate(plans)],
        "counts": {name: dict(sorted(counter.items())) for name, counter in writer.counts.items()},
        "left_out": _counted(row for plan in plans for row in plan.unused),
        "decontamination": None
        if index is None or recipe.decontaminate is None
        else _decontamination(recipe.decontaminate, plans, index),
    }


def write_stated(folder: Path, stated: Stated) -> Stated:
    """Write mixture.json, with the hashes of all other files; what it states then."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    whole = stated | {"files": files}
    (folder / STATED).write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return whole


def write_aside(folder: Path, plans: Sequence[Plan], *, judged: bool) -> None:
    """Write the rows that are left out, a table a task, and, where rows were judged, those that could not be."""
    types = {field.name: pl.Int64 if field.type is int else pl.String for field in dataclasses.fields(UnusedRow)}
    for task in sorted({plan.reader.task for plan in plans}):
        rows = [dataclasses.asdict(row) for plan in plans for row in plan.unused if row.task == task]
        _write(folder / "left_out" / f"{task}.parquet", pl.DataFrame(rows, schema=types))
    if judged:
        short = [(key, str(plan.reader.task)) for plan in plans for key in _too_short(plan)]
        _write(folder / TOO_SHORT, pl.DataFrame(short, schema={"key": pl.String, "task": pl.String}, orient="row"))


def _write(path: Path, frame: pl.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(frame.to_arrow(), path, compression="zstd")


def _too_short(plan: Plan) -> list[str]:
    """Keys of rows in the mixture that are too short for n-grams, sorted."""
    return sorted(key for key in plan.survey.too_short if plan.survey.usable[key].row in plan.taken)


def _named(path: str | None) -> Stated | None:
    return None if path is None else {"file": Path(path).name, "sha256": sha256_of(Path(path))}


def _part(plan: Plan, recipe: MixtureRecipe, number: int) -> Stated:
    survey = plan.survey
    return {
        "release": _release(plan.side),
        "task": str(plan.reader.task),
        "size": recipe.parts[number].size,
        "usable": len(survey.usable),
        "rows": len(plan.taken),
        "teachers": {
            name: {"traces": survey.traces[name], "verdicts": verdicts, "agreeing": agreeing}
            for name, (agreeing, verdicts) in survey.agreement.items()
        },
    }


def _release(side: Side) -> Stated:
    """Which release it was: by its manifest, or by its commit and files where it has none of our making."""
    stated = side.manifest
    name = side.named.rstrip("/").rpartition("/")[2] if stated is None else stated.get("name")
    manifest = side.folder / MANIFEST
    files = [] if stated is not None else _files(side)
    return {
        "name": name,
        "version": None if stated is None else stated.get("version"),
        "commit": side.commit,
        "manifest_sha256": None if stated is None else sha256_of(manifest),
        "files": {file.relative_to(side.folder).as_posix(): sha256_of(file) for file in files},
    }


def _files(side: Side) -> list[Path]:
    """The files that the rows are from: Parquet that was read as it is, or JSON Lines, of which Parquet was made."""
    tables = sorted({file for files in side.tables.values() for file in files})
    there = [file for file in tables if file.is_relative_to(side.folder)]
    return there or sorted(side.folder.rglob("*.jsonl"))


def _counted(rows: Iterable[UnusedRow]) -> list[Stated]:
    counts = Counter((str(row.task), row.reason) for row in rows)
    return [{"task": task, "reason": reason, "rows": count} for (task, reason), count in sorted(counts.items())]


def _decontamination(recipe: DecontaminateRecipe, plans: Sequence[Plan], index: Index) -> Stated:
    matches = sum((plan.survey.matches for plan in plans), Counter[tuple[str, str]]())
    texts = Counter(name for name, _ in index.places)
    return {
        **recipe.model_dump(mode="json", exclude={"benchmarks"}),
        "benchmarks": [
            _benchmark(benchmark)
            | {
                "texts": texts[benchmark.name],
                "texts_too_short_for_ngrams": index.too_short[benchmark.name],
                "rows_left_out": {kind: matches[benchmark.name, kind] for kind in ("exact", "normalised", "ngram")},
            }
            for benchmark in load_benchmarks(Path(recipe.benchmarks))
        ],
        "rows_too_short": sum(len(_too_short(plan)) for plan in plans),
    }


def _benchmark(benchmark: BenchmarkRecipe) -> Stated:
    local = None if benchmark.on_hub else Path(benchmark.path)
    return {
        **benchmark.model_dump(mode="json"),
        "path": benchmark.path if local is None else local.name,
        "sha256": None if local is None else sha256_of(local),
    }
