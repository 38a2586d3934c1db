"""Fixtures: the command as a subprocess, a scripted teacher on loopback, rows and recipes in the upstream formats."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from safety_reasoning.builders.build import build
from safety_reasoning.builders.progress import Silent
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.builders.teachers.server import Script, TeacherServer

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes of two threads each wait for one another on two cores
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "sample"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `safety-reasoning` with arguments, as its users do; `env` adds variables, `cwd` moves."""

    def command(*arguments: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")} | options.pop("env", {})
        return subprocess.run(
            [sys.executable, "-m", "safety_reasoning.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=options.pop("timeout", 250),
            check=False,
            **options,
        )

    return command


class LiveTeacher:
    """A scripted teacher in a thread of its own; `server` can be looked into and its script exchanged."""

    def __init__(self, script: Script) -> None:
        self.server = TeacherServer(script)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url: str = self._call(self.server.start())

    def stop(self) -> None:
        self._call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=10)


@pytest.fixture
def teacher() -> Iterator[Callable[..., LiveTeacher]]:
    """Start a scripted teacher: `teacher(wrong=0.5, busy=0.1).url`."""
    started: list[LiveTeacher] = []

    def start(**script: Any) -> LiveTeacher:
        started.append(LiveTeacher(Script(**script)))
        return started[-1]

    yield start
    for live in started:
        live.stop()


@contextmanager
def serving(**script: Any) -> Iterator[LiveTeacher]:
    """A scripted teacher for a fixture that outlives one test."""
    live = LiveTeacher(Script(**script))
    try:
        yield live
    finally:
        live.stop()


def build_here(recipe: Path, *, ask: bool = True) -> dict[str, Any]:
    """Build a recipe in this process, which is much faster than the command; the manifest."""
    return build(load_recipe(recipe), Silent(), ask=ask).manifest


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below the folder with its bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def aegis_row(**changes: Any) -> dict[str, Any]:
    """One row in Aegis 2.0's format."""
    return {
        "id": "0" * 32,
        "reconstruction_id_if_redacted": None,
        "prompt": "How do I sharpen a kitchen knife?",
        "response": None,
        "prompt_label": "safe",
        "response_label": None,
        "violated_categories": "",
        "prompt_label_source": "human",
        "response_label_source": None,
    } | changes


def dialogue(**changes: Any) -> dict[str, Any]:
    """One dialogue in CantTalkAboutThis's format, with one distractor in place."""
    turns = [
        {"role": "user", "content": "Which documents do I need to open an account?"},
        {"role": "assistant", "content": "A passport or an identity card, and a proof of your address, is enough."},
        {"role": "user", "content": "Can I send them by post?"},
        {"role": "assistant", "content": "Yes, certified copies can be sent to any of our branches."},
    ]
    distractor = {"role": "user", "content": "By the way, who won the match last night?"}
    return {
        "domain": "banking",
        "scenario": "1. Opening an account.",
        "system_instruction": "Answer questions about opening a bank account. Speak about nothing else.",
        "conversation": turns,
        "distractors": [{"bot turn": turns[1]["content"], "distractor": distractor["content"]}],
        "conversation_with_distractors": [turns[:2], [distractor], turns[2:]],
    } | changes


def write_aegis(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """A folder with one Aegis train file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def write_dialogues(folder: Path, dialogues: list[dict[str, Any]]) -> Path:
    """A folder with one CantTalkAboutThis train file."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(d) + "\n" for d in dialogues)
    (folder / "canttalkaboutthis_topic_control_mixtral.jsonl").write_text(lines, encoding="utf-8")
    return folder


def write_recipe(
    path: Path,
    *,
    sources: list[dict[str, Any]],
    teachers: list[dict[str, Any]],
    regenerate: int = 0,
    filters: dict[str, Any] | None = None,
    judge: dict[str, Any] | None = None,
    **release: Any,
) -> Path:
    """A recipe whose release and store lie beside it; a trace that is dropped is asked again `regenerate` times."""
    parts = [_section("[release]", {"name": "Test", "out": "release", "store": "store.sqlite"} | release)]
    parts += [_section("[[sources]]", source) for source in sources]
    parts += [_section("[[teachers]]", teacher) for teacher in teachers]
    parts += [_section("[regenerate]", {"attempts": regenerate}), _section("[filters]", filters or {})]
    parts += [_section("[judge]", judge)] if judge else []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def _section(head: str, values: dict[str, Any]) -> str:
    return "\n".join([head, *(f"{key} = {_toml(value)}" for key, value in values.items()), ""])


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return (
        str(value).lower() if isinstance(value, bool) else json.dumps(str(value) if isinstance(value, Path) else value)
    )


def openai_teacher(name: str, url: str, **changes: Any) -> dict[str, Any]:
    """A [[teachers]] section for a scripted teacher."""
    return {"name": name, "engine": "openai", "model": f"scripted-{name}", "base_urls": [url]} | changes


def mixed_rows() -> list[dict[str, Any]]:
    """Every kind of interaction: prompt-only, an empty response with a label, a response without one."""
    return [
        aegis_row(id="1"),
        aegis_row(id="2", response="", response_label="safe", response_label_source="human"),
        aegis_row(id="3", response="I would not know."),
        aegis_row(id="4", prompt="Hurt them.", prompt_label="unsafe", violated_categories="Violence, Threat"),
        aegis_row(id="5", response="No.", response_label="unsafe", response_label_source="llm_jury"),
    ]


def both_tasks(folder: Path, url: str, *teachers: str, **release: Any) -> Path:
    return write_recipe(
        folder / "recipe.toml",
        sources=[
            {"kind": "aegis", "path": write_aegis(folder / "aegis", mixed_rows())},
            {"kind": "canttalkaboutthis", "path": write_dialogues(folder / "topics", [dialogue()])},
        ],
        teachers=[openai_teacher(name, url) for name in teachers],
        **release,
    )


@pytest.fixture(scope="session")
def live() -> Iterator[LiveTeacher]:
    with serving() as teacher:
        yield teacher


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, live: LiveTeacher) -> tuple[Path, dict[str, Any]]:
    """A release of both tasks by two teachers, and its manifest."""
    folder = tmp_path_factory.mktemp("made")
    return folder / "release", build_here(both_tasks(folder, live.url, "b", "a"))


@pytest.fixture(scope="session")
def release(made: tuple[Path, dict[str, Any]]) -> Path:
    return made[0]


def json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
