"""Runs of guards made in a test: small tasks in the upstream formats, recipes, and what came of them."""

import json
from pathlib import Path
from typing import Any

from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Silent
from safety_reasoning.eval.runs.folder import Run
from safety_reasoning.eval.runs.recipe import load_run_recipe
from safety_reasoning.eval.runs.run import run

FLAGS = ("S", "H", "V", "HR", "SH", "S3", "H2", "V2")


def write_prompts(path: Path, count: int = 12, **texts: str) -> Path:
    """OpenAI Moderation's format: every third prompt is harmful; `texts` replaces prompts by `p<number>`."""
    rows = [
        {"prompt": texts.get(f"p{n}", f"prompt number {n}")} | dict.fromkeys(FLAGS, int(n % 3 == 0))
        for n in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def write_recipe(
    folder: Path,
    url: str | None,
    *,
    run: dict[str, Any] | None = None,
    guard: dict[str, Any] | None = None,
    engine: dict[str, Any] | None = None,
    prompts: Path | None = None,
    more: str = "",
) -> Path:
    """A recipe over one task of prompts, asked of a server."""
    place = prompts or write_prompts(folder / "moderation.jsonl")
    tables = {
        "run": {"name": "Test", "out": "run", "tasks": ["openai_moderation"], "counts": "as they are"} | (run or {}),
        "guard": {"adapter": "instruct"} | (guard or {}),
        "engine": {"engine": "openai", "model": "scripted", "base_urls": [url], "concurrency": 4} | (engine or {}),
        "places": {"openai_moderation": str(place)},
    }
    if url is None and engine is None:
        del tables["engine"]
    elif url is None:
        tables["engine"] = engine or {}
    text = "\n".join(_table(name, values) for name, values in tables.items())
    path = folder / "recipe.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n{more}", encoding="utf-8")
    return path


def _table(name: str, values: dict[str, Any]) -> str:
    return "\n".join([f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""])


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(str(value) if isinstance(value, Path) else value)


def done(path: Path) -> tuple[Run, Ledger]:
    """A run to its end, in this process."""
    ledger = Ledger()
    return run(load_run_recipe(path), Silent(), ledger), ledger
