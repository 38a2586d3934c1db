"""Stores with traces that a test has written itself, and the review page over them as its users start it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.builders.calls import Call, Status, Step
from safety_reasoning.builders.recipe import Recipe, load_recipe
from safety_reasoning.builders.resume import begin
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import open_store, view_store
from safety_reasoning.review.agreement_marks import Agreement, agreement
from safety_reasoning.review.marks import Findings, Mark, standing
from safety_reasoning.review.marks_store import open_marks, read_marks
from safety_reasoning.review.sample import Choice, Drawn, draw
from tests.conftest import aegis_row, openai_teacher, write_aegis, write_recipe

GOOD = "The user asks how a kitchen knife is sharpened, which is everyday advice about a tool of the household."
LEAKS = "The ground truth label is given as unharmful, so the expected answer must be that the prompt is unharmful."
SHORT = "The question concerns the care of a kitchen tool and nothing in it points to harm."
SAFE = "Prompt harm: unharmful\n\nResponse harm: None"
JUDGE = """
[judge]
name = "judge"
engine = "openai"
model = "scripted-judge"
base_urls = ["http://127.0.0.1:9/v1"]
modes = ["unfounded", "label_leak"]
ask = "all"
again = 0
"""
Says = Callable[[Call], tuple[str | None, str]]
"""(reasoning, answer) to a call; without a reasoning the reply is none to read."""


def review_recipe(folder: Path, rows: int = 12, *, judge: bool = False, **changes: Any) -> Path:
    """A recipe over so many prompts, or over the rows that are given, and one teacher, `a`."""
    prompts = changes.pop("prompts", [f"How do I sharpen knife number {n}?" for n in range(rows)])
    aegis = write_aegis(folder / "aegis", [aegis_row(prompt=prompt) for prompt in prompts])
    teachers = [openai_teacher(name, "http://127.0.0.1:9/v1") for name in changes.pop("teachers", ["a"])]
    path = write_recipe(
        folder / "recipe.toml", sources=[{"kind": "aegis", "path": aegis}], teachers=teachers, **changes
    )
    if judge:
        path.write_text(path.read_text(encoding="utf-8") + JUDGE, encoding="utf-8")
    return path


def fill(path: Path, says: Says) -> Recipe:
    """Answer every call of the recipe as a run would have stored it."""
    recipe = load_recipe(path)
    with open_store(Path(recipe.release.store)) as store:
        for sample in load_sources(recipe.sources).samples:
            for teacher in recipe.teachers:
                paused = begin(sample, teacher, recipe)
                while paused.call is not None:
                    reasoning, answer = says(paused.call)
                    request = paused.call.request(paused.key)
                    status = Status.EMPTY_REASONING if reasoning is None else Status.OK
                    reply = request.reply(status, reasoning=reasoning, answer=answer, finish_reason="stop")
                    store.append([reply])
                    paused.go_on(reply)
    return recipe


def number(call: Call) -> int:
    """The number in the prompt of a call of `review_recipe`."""
    return int(call.variables["prompt"].split("number ")[1].rstrip("?"))


def teacher_says(call: Call) -> tuple[str, str]:
    """Every fourth full trace leaks the label, the others are good, and so are their rewrites."""
    if call.step is Step.JUDGE:
        return "", opinion()
    if call.step is not Step.FULL:
        return "", SHORT
    return (LEAKS if number(call) % 4 == 0 else GOOD), SAFE


def opinion(**found: str) -> str:
    """A judge's answer that finds these modes, each with its evidence."""
    modes = ("label_leak", "unfounded")
    return json.dumps({mode: {"evidence": found.get(mode, ""), "present": mode in found} for mode in modes})


def drawn(recipe: Recipe, **choice: Any) -> list[Drawn]:
    """The sample of these options."""
    samples = load_sources(recipe.sources).samples
    with view_store(Path(recipe.release.store)) as store:
        return draw(recipe, samples, store, Choice(**choice), lambda number: None)


def mark_of(one: Drawn, reviewer: str, *modes: str, **changes: Any) -> Mark:
    """A reviewer's mark on a trace of the sample."""
    fields: dict[str, Any] = {
        "reviewer": reviewer,
        "key": one.key,
        "sample_key": one.tried.sample.key,
        "modes": modes,
        "marked_at": 1.0,
        "findings": Findings.LATER,
        "stratum": one.stratum,
        "size": one.size,
        "drawn": one.drawn,
    }
    return Mark(**fields | changes)


def save_marks(recipe: Recipe, marks: Sequence[Mark]) -> None:
    with open_marks(Path(recipe.release.store)) as store:
        for mark in marks:
            store.save(mark)


def agreed(recipe: Recipe) -> Agreement:
    samples = load_sources(recipe.sources).samples
    with view_store(Path(recipe.release.store)) as store:
        return agreement(recipe, samples, store)


@dataclass(frozen=True)
class Served:
    """A running `safety-reasoning review`."""

    process: "subprocess.Popen[str]"
    address: str
    """With the secret."""

    @property
    def port(self) -> int:
        return int(self.address.split(":")[2].split("/")[0])

    @property
    def secret(self) -> str:
        return self.address.split("secret=")[1]


@contextmanager
def reviewing(recipe: Path, *options: str) -> Iterator[Served]:
    """The page as its users start it, until the block ends."""
    command = [sys.executable, "-m", "safety_reasoning.cli", "review", str(recipe), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    assert process.stdout is not None
    with process.stdout:
        try:
            yield Served(process, process.stdout.readline().strip())
        finally:
            process.kill()
            process.wait(timeout=30)


def marks_in(recipe: Path) -> dict[tuple[str, str], Mark]:
    """The marks that count, by reviewer and key."""
    marks = read_marks(Path(load_recipe(recipe).release.store))
    return {(mark.reviewer, mark.key): mark for mark in standing(marks)}
