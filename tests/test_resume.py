"""Whatever stops a build, the next one goes on: same bytes, nothing lost, next to nothing asked twice."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.store import open_store
from safety_reasoning.schemas.folder import validate_folder
from tests.conftest import (
    LiveTeacher,
    Run,
    aegis_row,
    build_here,
    dialogue,
    openai_teacher,
    serving,
    tree,
    write_aegis,
    write_dialogues,
    write_recipe,
)

ROWS, CONCURRENCY = 60, 4
DEAD = "http://127.0.0.1:9/v1"
CALLS = 2 * (ROWS + 3)  # full and efficient, three turns of one dialogue beside the rows


def recipe(folder: Path, url: str, **release: Any) -> Path:
    aegis = write_aegis(folder / "aegis", [aegis_row(prompt=f"prompt {n}") for n in range(ROWS)])
    topics = write_dialogues(folder / "topics", [dialogue()])
    return write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis", "path": aegis}, {"kind": "canttalkaboutthis", "path": topics}],
        teachers=[openai_teacher("a", url, concurrency=CONCURRENCY)],
        **release,
    )


def stop_after(
    calls: int, live: LiveTeacher, path: Path, how: signal.Signals, verb: str = "build"
) -> "tuple[int, str]":
    """Start the command, stop it once the server has seen so many calls; its exit code and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "safety_reasoning.cli", verb, str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while live.server.calls < calls and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


@pytest.fixture(scope="module")
def undisturbed(released: Path) -> "dict[str, bytes]":
    return tree(released / "release")


def test_killed_again_and_again_it_ends_with_the_same_bytes(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher], undisturbed: "dict[str, bytes]"
) -> None:
    live = teacher(delay_s=0.02)
    path = recipe(tmp_path, live.url)
    kills = (1, 30, 70, 110)
    for calls in kills:
        code, _ = stop_after(calls, live, path, signal.SIGKILL)
        assert code == -signal.SIGKILL
    done = run("build", path)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "release") == undisturbed
    assert live.server.calls <= CALLS + len(kills) * CONCURRENCY
    assert len(live.server.answered) == CALLS


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_keeps_what_is_answered_and_says_how_much(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher], how: signal.Signals
) -> None:
    live = teacher(delay_s=0.02)
    path = recipe(tmp_path, live.url)
    code, said = stop_after(25, live, path, how)
    assert code == 130, said
    assert "run again to go on" in said
    assert "calls are left" in said
    assert "Traceback" not in said
    kept = int(said.rsplit("stopped; ", 1)[1].split()[0])
    assert kept >= 25 - CONCURRENCY
    asked = live.server.calls
    done = run("build", path)
    assert done.returncode == 0, done.stderr
    assert live.server.calls - asked == CALLS - kept


def test_a_finished_build_asks_nothing_and_changes_nothing(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher], undisturbed: "dict[str, bytes]"
) -> None:
    live = teacher()
    path = recipe(tmp_path, live.url)
    assert run("build", path).returncode == 0
    asked = live.server.calls
    assert asked == CALLS
    assert run("build", path).returncode == 0
    assert run("release", path).returncode == 0
    assert live.server.calls == asked
    assert tree(tmp_path / "release") == undisturbed


def test_a_changed_prompt_text_asks_again_only_for_what_it_shapes(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]
) -> None:
    live = teacher()
    path = recipe(tmp_path, live.url)
    assert run("build", path).returncode == 0
    write_aegis(
        tmp_path / "aegis",
        [aegis_row(prompt=f"prompt {n}", prompt_label="unsafe" if n == 0 else "safe") for n in range(ROWS)],
    )
    assert run("build", path).returncode == 0
    assert live.server.calls == CALLS + 2


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, a full store and a release of it."""
    with serving() as live:
        folder = tmp_path_factory.mktemp("released")
        build_here(recipe(folder, live.url))
    return folder


SEEN: dict[str, Callable[[Path], bool]] = {
    "it began to write": lambda folder: (folder / ".release.new").exists(),
    "it wrote the records": lambda folder: (folder / ".release.new" / "data" / "topic_control").exists(),
    "it wrote everything": lambda folder: (folder / ".release.new" / "manifest.json").exists(),
    "it put the new one into place": lambda folder: "# Second" in (folder / "release" / "README.md").read_text("utf-8"),
}


@pytest.mark.parametrize("pause_s", [0.0, 0.01])
@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN.keys())
def test_killed_while_it_replaces_a_release_it_leaves_one_whole(
    tmp_path: Path, released: Path, seen: Callable[[Path], bool], pause_s: float
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(released, folder)
    path = recipe(folder, DEAD, name="Second")
    old = tree(folder / "release")
    process = subprocess.Popen(
        [sys.executable, "-m", "safety_reasoning.cli", "release", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not seen(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)
    assert seen(folder)
    time.sleep(pause_s)  # the moment is what is varied
    process.kill()
    process.wait()
    assert validate_folder(folder / "release").total == 0
    left = tree(folder / "release")
    assert left == old or "# Second" in left["README.md"].decode()
    build_here(path, ask=False)
    assert "# Second" in (folder / "release" / "README.md").read_text(encoding="utf-8")
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


FULL_DISK = """
import resource, sys
from safety_reasoning.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["safety-reasoning", "traces", "generate", sys.argv[2]]
main()
"""


def test_a_disk_that_fills_up_ends_the_run_in_words_and_costs_at_most_what_was_in_flight(
    tmp_path: Path, teacher: Callable[..., LiveTeacher]
) -> None:
    live = teacher(words=300)
    path = recipe(tmp_path, live.url, filters={"off": ["near_duplicate", "repetition", "too_long"]})
    command = [sys.executable, "-c", FULL_DISK, "150000", str(path)]
    full = subprocess.run(command, capture_output=True, text=True, check=False)
    assert full.returncode == 2, full.stderr
    assert "cannot be written" in full.stderr
    assert "Traceback" not in full.stderr
    with open_store(tmp_path / "store.sqlite") as store:
        kept = len(store)
    assert 0 < kept < CALLS
    assert live.server.calls <= kept + CONCURRENCY
    done = subprocess.run([*command[:3], "100000000", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{kept} of {CALLS} replies are in the store" in done.stderr
    assert live.server.calls <= CALLS + CONCURRENCY
