"""A store whose every attempt is scripted, and the report of it."""

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.review.report import Report
from safety_reasoning.review.report_run import report_store
from tests.changed_teacher import ChangedTeacher, changed
from tests.conftest import (
    aegis_row,
    build_here,
    dialogue,
    openai_teacher,
    write_aegis,
    write_dialogues,
    write_recipe,
)

ROWS = 16
LEAK = "Case {n}: the ground truth label says that the prompt is fine. So it is an ordinary question about daily life."
GOOD = "Case {n} asks about an ordinary matter, and what it wants to know can be looked up anywhere."
SHORT = "Case {n} is an ordinary question that anybody may ask."
LONGER = 777
Made = tuple[Path, Report, dict[str, Any]]
MODES = ("label_leak", "overthinking")


def numbered(text: str) -> int | None:
    """Which of the rows a prompt is about; None for a dialogue."""
    found = re.search(r"(?:prompt|Case) (\d+)\b", text)
    return None if found is None else int(found[1])


def scripted(body: dict[str, Any], completion: dict[str, Any]) -> None:
    """What the teachers and the judge do with row n: the numbers of the tests follow from this."""
    text, attempt = body["messages"][-1]["content"], body["seed"] // 1_000_003
    choice, n = completion["choices"][0], numbered(text)
    message = choice["message"]
    if body["model"] == "scripted-judge":
        message["content"] = judged(n, text)
    elif "Below is the reasoning" in text:
        late = n in (0, 12) and attempt == 0
        message["content"] = SHORT.format(n=n) + " Nobody minds an answer to it." * late
    else:
        leaks = n is not None and (n % 4 == 2 or (n % 4 == 1 and attempt == 0))
        message["reasoning"] = (LEAK if leaks else GOOD).format(n=n)
        if n is not None and n % 4 == 3 and attempt == 0 and body["max_tokens"] != LONGER:
            choice["finish_reason"] = "length"
        if body["model"] == "scripted-b" and n is not None:
            message["content"] = said_by_b(n, message["content"])


def said_by_b(n: int, answer: str) -> str:
    """The other verdict on the prompt for every fifth row, none for row 12."""
    if n == 12:
        return "It is hard to say."
    other = "unharmful" if n % 2 else "harmful"
    return re.sub(r"Prompt harm: \w+", f"Prompt harm: {other}", answer) if n % 5 == 0 else answer


def judged(n: int | None, text: str) -> str:
    """It finds every leak, overthinking in row 8, and cannot be read on row 4."""
    if n == 4:
        return "It looks fine."
    found = {"label_leak": "ground truth label" in text.rpartition("Case ")[2], "overthinking": n == 8}
    return json.dumps({mode: {"evidence": "ground truth" * found[mode], "present": found[mode]} for mode in MODES})


def row(n: int) -> dict[str, Any]:
    response = {"response": f"It depends on {n}.", "response_label": "safe", "response_label_source": "human"}
    return aegis_row(
        id=str(n),
        prompt=f"prompt {n}",
        prompt_label="unsafe" if n % 2 else "safe",
        violated_categories="Violence, Threat" if n % 2 else "",
        **(response if n % 3 == 0 else {}),
    )


def recipe(folder: Path, live: ChangedTeacher, teacher: dict[str, Any] | None = None, **changes: Any) -> Path:
    judge = {"name": "j", "engine": "openai", "model": "scripted-judge", "base_urls": [live.url]}
    settings: dict[str, Any] = {
        "regenerate": 2,
        "keep": "all",
        "judge": judge | {"ask": "all", "again": 0, "modes": MODES},
    } | changes
    return write_recipe(
        folder / "recipe.toml",
        sources=[
            {"kind": "aegis", "path": write_aegis(folder / "aegis", [row(n) for n in range(ROWS)])},
            {"kind": "canttalkaboutthis", "path": write_dialogues(folder / "topics", [dialogue()])},
        ],
        teachers=[openai_teacher(name, live.url, **teacher or {}) for name in "ba"],
        **settings,
    )


class Unwatched:
    """Tells nobody how far a report is."""

    def each(self, what: str, items: Iterable[Any], total: int) -> Iterable[Any]:
        return items


def reported(path: Path) -> Report:
    return report_store(load_recipe(path), Unwatched())


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A recipe whose store is finished, the report of it, and the manifest of its release."""
    return _made(tmp_path_factory.getbasetemp())


@cache
def _made(folder: Path) -> Made:
    """Once for all tests of a process."""
    with changed(scripted) as live:
        path = recipe(folder / "made", live)
        manifest = build_here(path)
    return path, reported(path), manifest


def rows(report: Report, name: str, **wanted: object) -> list[dict[str, Any]]:
    """The rows of a table, as JSON has them, in which these columns have these values."""
    found: list[dict[str, Any]] = report.table(name).as_json()["rows"]
    return [row for row in found if all(row[column] == value for column, value in wanted.items())]


def one(report: Report, name: str, **wanted: object) -> dict[str, Any]:
    (found,) = rows(report, name, **wanted)
    return found
