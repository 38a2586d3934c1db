"""Stores made in a test, and what the command says of them."""

import dataclasses
import json
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.builders.store import open_store, view_store
from tests.conftest import LiveTeacher, Run, aegis_row, write_aegis, write_recipe

Start = Callable[..., LiveTeacher]
ALLOWED = "truncated, empty_reasoning, empty_answer, rejected, error_body"


def recipe(folder: Path, *teachers: dict[str, Any], rows: int = 6) -> Path:
    aegis = write_aegis(folder / "aegis", [aegis_row(prompt=f"prompt {n}") for n in range(rows)])
    return write_recipe(folder / "recipe.toml", sources=[{"kind": "aegis", "path": aegis}], teachers=list(teachers))


def reply(number: int, **changes: Any) -> Reply:
    def key(text: str) -> str:
        return blake2b(text.encode(), digest_size=16).hexdigest()

    given = Reply(
        key=key(f"call {number}"),
        sample_key=key(f"sample {number}"),
        teacher="a",
        step=Step.FULL,
        status=Status.OK,
        reasoning="Because.",
        answer="yes",
        finish_reason="stop",
        model="m",
        prompt_tokens=3,
        completion_tokens=4,
        latency_s=0.25,
    )
    return dataclasses.replace(given, **changes)


def filled(path: Path, *replies: Reply) -> Path:
    with open_store(path) as store:
        store.append(replies)
    return path


def replies_of(path: Path) -> list[Reply]:
    with view_store(path) as store:
        return list(store)


def shown(run: Run, *arguments: str | Path) -> Any:
    """What a verb that ends well prints as JSON."""
    done = run("traces", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(run: Run, *arguments: str | Path) -> str:
    """What a verb says that a person must mend something for."""
    done = run("traces", *arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    return done.stderr
