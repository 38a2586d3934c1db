"""Our engine as its users run it: a folder with a synthesised source and a recipe, and the command."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.filters.reasons import Drop

from .measure import Ran, run
from .texts import Writer

CONCURRENCY = 256
_WORDS = 35
"""Of a synthesised user prompt, about as long as one of Aegis 2.0."""
_OFF = ", ".join(f'"{reason}"' for reason in Drop)
"""The engine is measured alone: benchmarks/filters.py says what it takes to judge a trace."""
_RECIPE = """\
[release]
name = "Benchmark"
out = "release"
store = "store.sqlite"

[regenerate]
attempts = 0

[filters]
off = [{off}]

[[sources]]
kind = "aegis"
path = "source"

[[teachers]]
name = "scripted"
engine = "openai"
model = "scripted"
base_urls = ["{url}"]
concurrency = {concurrency}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run of `traces generate`."""

    ran: Ran
    replies: int
    """New ones; each is in the store."""
    asking_s: float
    """From the first request to the last commit: reading the sources is left out."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder with a source, a recipe and a store. A sample needs two calls: the trace, then its short form."""

    folder: Path

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.folder / "store.sqlite"

    def command(self) -> list[str | Path]:
        """The command that asks what the store lacks."""
        program = [sys.executable, "-m", "safety_reasoning.cli"]
        return [*program, "traces", "generate", self.folder / "recipe.toml", "--json"]

    def serve_from(self, url: str, *, concurrency: int = CONCURRENCY) -> None:
        """Write the recipe, with this server."""
        recipe = _RECIPE.format(url=url, concurrency=concurrency, off=_OFF)
        (self.folder / "recipe.toml").write_text(recipe, encoding="utf-8")

    def generate(self, meanwhile: "Callable[[subprocess.Popen[bytes]], None] | None" = None) -> Ran:
        """Run the command, however it ends."""
        return run(self.command(), cwd=self.folder, env={"HF_HUB_OFFLINE": "1"}, meanwhile=meanwhile)

    def ask(self) -> Asked:
        """Run the command.

        Raises: RuntimeError with what it said if it failed.
        """
        ran = self.generate()
        summary = ran.document()
        return Asked(ran, summary["replies"], summary["asking_s"])

    def clear(self) -> None:
        """Forget every reply."""
        for path in self.folder.glob("store.sqlite*"):
            path.unlink()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the store, read beside a run that may be writing to it; none where there is no store yet."""
        if not self.store.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True, timeout=30)) as db:
            return db.execute(sql).fetchall()


def workplace(folder: Path, samples: int, url: str, *, concurrency: int = CONCURRENCY) -> Workplace:
    """A new folder; the rows are synthesised in the format of Aegis 2.0, each with its own prompt and response."""
    writer = Writer(seed=samples)
    (folder / "source").mkdir(parents=True)
    with (folder / "source" / "train.json").open("w", encoding="utf-8") as file:
        for number in range(samples):
            file.write(",\n" if number else "[")
            file.write(json.dumps(_row(number, writer)))
        file.write("]\n")
    place = Workplace(folder)
    place.serve_from(url, concurrency=concurrency)
    return place


def _row(number: int, writer: Writer) -> dict[str, Any]:
    safe = number % 2 == 0
    answered = number % 4 < 2
    return {
        "id": f"{number:032x}",
        "reconstruction_id_if_redacted": None,
        "prompt": writer.text(_WORDS),
        "response": writer.text(_WORDS) if answered else None,
        "prompt_label": "safe" if safe else "unsafe",
        "response_label": "safe" if answered else None,
        "violated_categories": "" if safe else "Violence",
        "prompt_label_source": "human",
        "response_label_source": "llm_jury" if answered else None,
    }
