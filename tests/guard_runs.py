"""Run folders as `eval run` writes them, of made-up answers, for tests."""

import hashlib
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from safety_reasoning.eval.runs.folder import write_run as folder_of_run
from safety_reasoning.eval.runs.rows import SCHEMA


def row(item: int | str = 0, **changes: Any) -> dict[str, Any]:
    """One row of a run: a prompt that is harmful and called so; `item` is a number or a key."""
    key = item if isinstance(item, str) else hashlib.sha256(str(item).encode()).hexdigest()[:32]
    return {
        "task": "aegis2_prompt",
        "item": key,
        "generation": 0,
        "subject": "prompt",
        "positive": True,
        "category": None,
        "domain": None,
        "chars": 40,
        "status": "ok",
        "finish_reason": "stop",
        "reasoning": "The user asks for harm.",
        "answer": "Prompt harm: harmful",
        "parse": "ok",
        "predicted": True,
        "refusal": None,
        "probability": None,
        "prompt_tokens": 500,
        "trace_tokens": 20,
        "answer_tokens": 6,
        "latency_s": 0.5,
    } | changes


def unparsed(item: int | str = 0, reason: str = "no_verdict", **changes: Any) -> dict[str, Any]:
    """A row whose answer says nothing that can be used."""
    return row(item, **({"answer": "I cannot say.", "parse": reason, "predicted": None} | changes))


def frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """The rows, sorted as a run writes them."""
    return pl.DataFrame(list(rows), schema=SCHEMA, orient="row").sort("task", "item", "generation")


def answers(
    task: str = "aegis2_prompt",
    *,
    items: int = 60,
    generations: int = 2,
    right: float = 0.8,
    unread: float = 0.05,
    seed: int = 0,
    probabilities: bool = True,
    **changes: Any,
) -> list[dict[str, Any]]:
    """Rows of a guard that is right in a share of them and cannot be read in another.

    The labels hang on nothing but the item's number, so that two of these are of the same items.
    """
    chance = random.Random(f"{task} {seed}")  # noqa: S311 - nothing is kept secret with it
    said = []
    for item in range(items):
        gold = item % 3 == 0
        for generation in range(generations):
            verdict = gold if chance.random() < right else not gold
            probability = round(0.5 + (0.45 if verdict else -0.45) * chance.random(), 3) if probabilities else None
            common: dict[str, Any] = {
                "task": task,
                "generation": generation,
                "positive": gold,
                "category": "Violence" if gold and item % 2 else "Fraud" if gold else None,
                "domain": "first" if item % 2 else "second",
                "chars": 20 + 10 * item,
                "trace_tokens": chance.randrange(10, 200),
                "latency_s": round(0.2 + chance.random(), 4),
            } | changes
            if chance.random() < unread:
                said.append(unparsed(item, **common))
            else:
                said.append(row(item, predicted=verdict, probability=probability, **common))
    return said


def write_run(folder: Path, rows: Iterable[dict[str, Any]], **stated: Any) -> Path:
    """A run folder; `stated` changes what run.json says."""
    found = frame(rows)
    return folder_of_run(folder, run_stated(found) | stated, found).path


def run_stated(rows: pl.DataFrame) -> dict[str, Any]:
    """What run.json says of a run with these rows."""
    return {
        "adapter": "ours",
        "settings": {},
        "model": "scripted",
        "model_revision": None,
        "prompt_sha256": "0" * 64,
        "sampling": {"preset": "paper", "temperature": 0.6, "top_p": 0.95},
        "seed": 0,
        "generations": rows["generation"].n_unique(),
        "concurrency": 8,
        "engine": "openai",
        "mixture": None,
        "tasks": [task_stated(rows, task) for task in sorted(rows["task"].unique())],
        "version": "0.1.0",
    }


def task_stated(rows: pl.DataFrame, task: str) -> dict[str, Any]:
    """What it says of one task."""
    items = rows.filter(pl.col("task") == task).unique("item")
    return {
        "name": task,
        "source": "hf://datasets/somebody/something",
        "revision": "0" * 40,
        "sha256": "0" * 64,
        "preset": "default",
        "label_rule": "prompt_label == unsafe",
        "rows": len(items),
        "positives": int(items["positive"].sum()),
        "licence": "cc-by-4.0",
        "citation": "Somebody, 2025",
    }
