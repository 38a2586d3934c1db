"""kill -9 at any moment, and every fault at once: nothing that is committed is lost, next to nothing asked twice."""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safety_reasoning.builders.ask import ask_teachers
from safety_reasoning.builders.calls import Status
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Silent
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.builders.store import view_store
from safety_reasoning.builders.teachers.server import TeacherServer
from tests.conftest import LiveTeacher, aegis_row, openai_teacher, write_aegis, write_recipe

Start = Callable[..., LiveTeacher]
ROWS, CONCURRENCY, KILLS = 300, 16, 5
CALLS = 2 * ROWS


def recipe(folder: Path, url: str, **changes: Any) -> Path:
    aegis = write_aegis(folder / "aegis", [aegis_row(prompt=f"prompt {n}") for n in range(ROWS)])
    return write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis", "path": aegis}],
        teachers=[openai_teacher("a", url, **{"concurrency": CONCURRENCY} | changes)],
    )


def undisturbed(folder: Path, url: str) -> set[str]:
    """The keys of a whole run."""
    ask_teachers(load_recipe(recipe(folder, url)), Silent(), Ledger())
    return keys(folder)


def keys(folder: Path) -> set[str]:
    store = folder / "store.sqlite"
    if not store.exists():
        return set()
    with view_store(store) as opened:
        kept = [reply.key for reply in opened]
        assert len(kept) == len(set(kept)) == len(opened)
    return set(kept)


def killed_at(calls: int, live: LiveTeacher, path: Path) -> None:
    """Start a run and kill it once the server has seen so many requests."""
    process = subprocess.Popen(
        [sys.executable, "-m", "safety_reasoning.cli", "traces", "generate", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while live.server.calls < calls and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.001)
    assert process.poll() is None, "the run ended before it could be killed"
    process.kill()
    process.wait()


def asked(server: TeacherServer) -> "Counter[str]":
    """How often the server was asked each prompt, whether or not anybody heard the answer."""
    return server._asked


def test_killed_at_random_moments_a_run_loses_nothing_and_repeats_next_to_nothing(
    tmp_path: Path, teacher: Start
) -> None:
    live = teacher(delay_s=0.03)
    path = recipe(tmp_path, live.url)
    moments = sorted(random.Random(20261121).sample(range(10, CALLS - 2 * CONCURRENCY), KILLS))  # noqa: S311
    committed: set[str] = set()
    for calls in moments:
        killed_at(calls, live, path)
        now = keys(tmp_path)
        assert committed <= now
        assert len(now) <= live.server.calls
        committed = now
    ledger = Ledger()
    ask_teachers(load_recipe(path), Silent(), ledger)
    assert (ledger.all().before, ledger.all().left) == (len(committed), 0)
    done = keys(tmp_path)
    assert committed <= done
    assert done == undisturbed(tmp_path / "undisturbed", teacher().url)
    times = asked(live.server)
    assert len(times) == CALLS
    assert max(times.values()) <= 1 + KILLS
    assert live.server.calls <= CALLS + KILLS * CONCURRENCY


def test_all_faults_at_once_cost_no_sample_its_reply_and_no_reply_comes_twice(tmp_path: Path, teacher: Start) -> None:
    live = teacher(busy=0.1, failing=0.1, reset=0.05, cut=0.05, garbage=0.05, retry_after_s=0.05)
    path = recipe(tmp_path, live.url, attempts=15, concurrency=64)
    ledger = Ledger()
    ask_teachers(load_recipe(path), Silent(), ledger)
    whole = ledger.all()
    assert (whole.total, whole.before, whole.replies, whole.left) == (CALLS, 0, CALLS, 0)
    assert not ledger.unfinished
    with view_store(tmp_path / "store.sqlite") as store:
        replies = list(store)
    assert {reply.status for reply in replies} == {Status.OK}
    assert Counter(Counter(reply.sample_key for reply in replies).values()) == {2: ROWS}
    assert live.server.calls > CALLS * 1.2
    assert Counter(live.server.answered.values()) == {1: CALLS}
    assert keys(tmp_path) == undisturbed(tmp_path / "undisturbed", teacher().url)
