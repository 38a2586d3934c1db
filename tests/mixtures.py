"""Releases as the published data set writes them, and recipes of mixtures, for tests."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from safety_reasoning.schemas.columns import JSONL_FILE, Task
from safety_reasoning.train.mixture import make_mixture
from safety_reasoning.train.mixture_recipe import load_mixture_recipe
from tests.conftest import aegis_row

SAFETY, TOPIC = Task.CONTENT_SAFETY, Task.TOPIC_CONTROL


def safety(number: int, **changes: Any) -> dict[str, Any]:
    """One content-safety record with traces of the teacher `a`; an odd one has a harmful prompt and a response."""
    odd = bool(number % 2)
    row = aegis_row(
        id=f"{number:032x}",
        prompt=f"Question number {number} about the colour of the sky over a small town in the morning.",
        prompt_label="unsafe" if odd else "safe",
        response=f"Answer {number}." if odd else None,
        response_label="safe" if odd else None,
        response_label_source="human" if odd else None,
        violated_categories="Violence" if odd else "",
    )
    return row | traces("a", number) | changes


def traces(teacher: str, number: int, *, mismatch: bool | None = False) -> dict[str, Any]:
    return {
        f"safety_reasoning_{teacher}": f"{teacher} looks at question {number} and weighs what it asks for.",
        f"efficient_safety_reasoning_trace_{teacher}": f"{teacher} on {number}.",
        f"prediction_gt_mismatch_{teacher}": mismatch,
    }


def topic(number: int, **changes: Any) -> dict[str, Any]:
    """One topic-control record with traces of the teacher `a`."""
    return {
        "system_instruction": "Answer questions about opening a bank account. Speak about nothing else.",
        "conversation_history": [{"role": "assistant", "content": "How can I help you?"}],
        "last_user_message": f"Request {number}: which papers do I have to bring along to the branch in the city?",
        "gt_topic_classification": "off-topic" if number % 3 == 0 else "on-topic",
        "safety_reasoning_trace_a": f"Request {number} asks about papers.",
        "efficient_reasoning_trace_a": f"Papers, {number}.",
        "prediction_gt_mismatch_a": False,
    } | changes


def write_release(
    folder: Path, rows: list[dict[str, Any]] | None = None, topics: list[dict[str, Any]] | None = None
) -> Path:
    """A release without a manifest: JSON Lines under the published names."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, records in ((SAFETY, rows), (TOPIC, topics)):
        if records is not None:
            lines = "".join(json.dumps(record) + "\n" for record in records)
            (folder / JSONL_FILE[task]).write_text(lines, encoding="utf-8")
    return folder


def write_mixture_recipe(path: Path, *parts: dict[str, Any], **mixture: Any) -> Path:
    """A recipe whose mixture lies beside it; without parts, the content safety of `release` beside it."""
    fields = {"name": "Test", "out": "mixture", "mode": "reasoning"} | mixture
    sections = {name: value for name, value in fields.items() if isinstance(value, dict)}
    lines = ["[mixture]", *(f"{name} = {_toml(value)}" for name, value in fields.items() if name not in sections)]
    for name, values in sections.items():
        lines += [f"[mixture.{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    for part in parts or ({"release": "release", "task": "content_safety"},):
        lines += ["[[mixture.parts]]", *(f"{key} = {_toml(value)}" for key, value in part.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return (
        str(value).lower() if isinstance(value, bool) else json.dumps(str(value) if isinstance(value, Path) else value)
    )


def mixed(recipe: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Make the mixture of a recipe; what it states, and its rows."""
    stated = make_mixture(load_mixture_recipe(recipe))
    return stated, rows_of(load_mixture_recipe(recipe).out)


def rows_of(folder: Path | str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(Path(folder) / "data/train-00000-of-00001.parquet").to_pylist()
    return found
