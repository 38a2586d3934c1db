"""`safety-reasoning traces generate`, `status` and `retry`, as commands."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.calls import Status, Step
from safety_reasoning.builders.parts import write_replies
from safety_reasoning.builders.store import open_store, view_store
from safety_reasoning.builders.teachers.server import Script
from tests.conftest import LiveTeacher, Run, both_tasks, openai_teacher
from tests.stores import ALLOWED, Start, filled, recipe, refused, replies_of, reply, shown

# generate


def test_generate_fills_the_store_and_a_second_run_asks_nothing(tmp_path: Path, run: Run, teacher: Start) -> None:
    live = teacher()
    path = recipe(tmp_path, openai_teacher("b", live.url), openai_teacher("a", live.url))
    first = shown(run, "generate", path)
    assert live.server.calls == 24
    assert (first["total"], first["before"], first["replies"], first["left"]) == (24, 0, 24, 0)
    assert 0 < first["asking_s"] < 60
    assert [(line["teacher"], line["step"]) for line in first["lines"]] == [
        (name, step) for name in "ab" for step in ("efficient-1", "full")
    ]
    for line in first["lines"]:
        assert (line["total"], line["replies"], line["left"], line["failed"]) == (6, 6, 0, {})
        assert line["completion_tokens"] >= 6
    assert (first["unfinished"], first["stopped"]) == ({}, {})
    second = shown(run, "generate", path)
    assert live.server.calls == 24
    assert (second["total"], second["before"], second["replies"], second["left"]) == (24, 24, 0, 0)
    assert second["asking_s"] == 0
    assert not (tmp_path / "release").exists()


def test_generate_says_what_is_missing_however_it_ends(tmp_path: Path, run: Run) -> None:
    path = recipe(tmp_path, openai_teacher("a", "http://127.0.0.1:9/v1", attempts=1))
    done = run("traces", "generate", path)
    assert done.returncode == 130
    assert done.stdout == "0 replies were added, 0 were there, 12 are missing\n"
    told = json.loads(run("traces", "generate", path, "--json").stdout)
    assert (told["left"], told["unfinished"]) == (12, {"a: no connection": 6})


def test_generate_counts_chains_that_turn_out_shorter(tmp_path: Path, run: Run, teacher: Start) -> None:
    told = shown(run, "generate", recipe(tmp_path, openai_teacher("a", teacher(reject="prompt 3").url)))
    assert (told["total"], told["replies"], told["left"]) == (11, 11, 0)
    assert [line["failed"] for line in told["lines"]] == [{}, {"rejected": 1}]


def test_generate_fills_a_store_for_several_budgets_of_sentences(tmp_path: Path, run: Run, teacher: Start) -> None:
    live = teacher()
    path = both_tasks(tmp_path, live.url, "a")
    told = json.loads(run("traces", "generate", path, "--sentences", "3", "--sentences", "1", "--json").stdout)
    assert [(one["sentences"], one["left"]) for one in told] == [(1, 0), (3, 0)]
    with view_store(tmp_path / "store.sqlite") as store:
        steps = Counter(reply.step for reply in store)
    assert steps[Step.EFFICIENT_1] == steps[Step.EFFICIENT_3] == steps[Step.FULL] > 0
    assert run("traces", "generate", path, "--sentences", "11").returncode == 2


def test_generate_asks_only_the_teachers_that_are_named(tmp_path: Path, run: Run, teacher: Start) -> None:
    live = teacher()
    path = recipe(tmp_path, *(openai_teacher(name, live.url) for name in "abc"))
    told = shown(run, "generate", path, "--teacher", "c", "--teacher", "a")
    assert {line["teacher"] for line in told["lines"]} == {"a", "c"}
    assert live.server.calls == 24
    assert "the recipe has no teacher 'd'" in refused(run, "generate", path, "--teacher", "d")
    assert live.server.calls == 24


# status


@contextmanager
def working(path: Path, live: LiveTeacher, calls: int) -> Iterator["subprocess.Popen[str]"]:
    """A run that is in the middle of its work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "safety_reasoning.cli", "traces", "generate", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while live.server.calls < calls and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_status_shows_a_run_at_work_and_after(tmp_path: Path, run: Run, teacher: Start) -> None:
    live = teacher(delay_s=0.1)
    path = recipe(tmp_path, openai_teacher("a", live.url, concurrency=4), rows=1000)
    with working(path, live, calls=60) as process:
        seen: dict[str, Any] = {}
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (seen and seen["lines"][-1]["rate_per_s"]):
            seen = shown(run, "status", path)
        (_, full) = seen["lines"]
        assert seen["running"] is True
        assert (full["teacher"], full["step"], full["total"]) == ("a", "full", 1000)
        assert 0 < sum(line["in_flight"] for line in seen["lines"]) <= 4
        assert 0 < full["done"] <= full["replies"] < 1000
        assert 0 < full["rate_per_s"] < 80
        assert full["eta_s"] == pytest.approx((full["total"] - full["done"]) / full["rate_per_s"])
        assert full["mean_latency_s"] >= 0.1
        assert seen["spent"]["calls"] >= full["replies"]
        text = run("traces", "status", tmp_path / "store.sqlite").stdout.splitlines()
        assert text[0].startswith("teacher  step")
        assert text[0].endswith("  ETA")
        assert [line.split()[:2] for line in text[1:-1]] == [["a", "efficient-1"], ["a", "full"]]
        assert text[2].split()[3] == "1000"
        assert text[2].split()[-1].count(":") == 2
        assert text[-1].endswith("; a run is working on it")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    after = shown(run, "status", path)
    assert after["running"] is False
    for line in after["lines"]:
        assert (line["in_flight"], line["eta_s"]) == (0, None)
        assert line["done"] == line["replies"]
    assert run("traces", "status", path).stdout.endswith("; no run is working on it\n")


def test_status_of_a_killed_run_shows_nothing_in_flight(tmp_path: Path, run: Run, teacher: Start) -> None:
    live = teacher(delay_s=0.05)
    path = recipe(tmp_path, openai_teacher("a", live.url, concurrency=4), rows=200)
    with working(path, live, calls=40) as process:
        process.kill()
        process.wait()
    told = shown(run, "status", tmp_path / "store.sqlite")
    assert told["running"] is False
    assert [line["in_flight"] for line in told["lines"]] == [0] * len(told["lines"])
    assert told["spent"]["calls"] == sum(line["replies"] for line in told["lines"]) >= 40 - 4


def test_status_counts_what_a_store_holds_without_any_run(tmp_path: Path, run: Run) -> None:
    store = filled(
        tmp_path / "s.sqlite",
        reply(1, cost_usd=0.5),
        reply(2, status=Status.TRUNCATED, cost_usd=0.25),
        reply(3, teacher="b", step=Step.EFFICIENT_1),
    )
    told = shown(run, "status", store)
    assert told["spent"] == {"calls": 3, "tokens": 21, "cost_usd": 0.75}
    assert [(line["teacher"], line["replies"], line["failed"], line["cost_usd"]) for line in told["lines"]] == [
        ("a", 2, {"truncated": 1}, 0.75),
        ("b", 1, {}, None),
    ]
    rows = run("traces", "status", store).stdout.splitlines()
    assert rows[1].split() == ["a", "full", "2", "-", "0", "1", "truncated", "6", "8", "0.25", "0.75", "-", "-"]


def test_status_of_a_store_that_is_not_there_is_an_error(tmp_path: Path, run: Run) -> None:
    assert "there is no store at" in refused(run, "status", tmp_path / "s.sqlite")
    assert "traces generate" in refused(run, "status", recipe(tmp_path, openai_teacher("a", "http://127.0.0.1:9/v1")))
    assert not (tmp_path / "s.sqlite").exists()
    assert not (tmp_path / "store.sqlite").exists()


def test_status_is_that_of_the_run_at_work_before_its_first_reply(tmp_path: Path, run: Run, teacher: Start) -> None:
    live = teacher(delay_s=0.02)
    path = recipe(tmp_path, openai_teacher("a", live.url, concurrency=4), rows=200)
    with working(path, live, calls=60):
        pass
    live.server.script = Script(delay_s=90.0)
    recipe(tmp_path, openai_teacher("a", live.url, concurrency=3), rows=200)
    with working(path, live, calls=live.server.calls + 3):
        deadline = time.monotonic() + 60  # before the first reply
        told = shown(run, "status", path)
        while time.monotonic() < deadline and sum(line["in_flight"] for line in told["lines"]) != 3:
            told = shown(run, "status", path)
        assert told["running"] is True
        assert sum(line["in_flight"] for line in told["lines"]) == 3
        assert [line["rate_per_s"] for line in told["lines"]] == [None, None]


POLL = """
import sys
from pathlib import Path
from safety_reasoning.builders.store import in_use
print("polling", flush=True)
while True:
    in_use(Path(sys.argv[1]))
"""


def test_whoever_looks_at_a_store_does_not_keep_a_run_away(tmp_path: Path) -> None:
    store = filled(tmp_path / "s.sqlite")
    polling = subprocess.Popen([sys.executable, "-c", POLL, str(store)], stdout=subprocess.PIPE, text=True)
    try:
        assert polling.stdout is not None
        assert polling.stdout.readline() == "polling\n"
        for _ in range(100):
            filled(store)
    finally:
        polling.kill()
        polling.communicate()


def test_a_store_whose_making_was_cut_short_is_made_by_the_next_run(tmp_path: Path) -> None:
    store = tmp_path / "s.sqlite"
    with sqlite3.connect(store) as db:
        db.execute(f"PRAGMA application_id = {0x53524541}")  # the first thing that is written to it
    filled(store, reply(1))
    assert replies_of(store) == [reply(1)]


def test_status_of_a_file_that_a_run_has_just_begun_is_no_crash(tmp_path: Path, run: Run) -> None:
    (tmp_path / "s.sqlite").touch()
    done = run("traces", "status", tmp_path / "s.sqlite")
    assert done.returncode in {0, 2}, done.stderr
    assert "Traceback" not in done.stderr


# retry


def test_retry_puts_replies_aside_and_the_next_run_asks_exactly_those_again(
    tmp_path: Path, run: Run, teacher: Start
) -> None:
    good, bad = teacher(), teacher(odd="cut_off")
    path = recipe(tmp_path, *(openai_teacher(n, live.url) for n, live in (("a", bad), ("b", bad), ("c", good))))
    shown(run, "generate", path)
    assert (bad.server.calls, good.server.calls) == (12, 12)
    done = run("traces", "retry", path, "--reason", "truncated", "--step", "efficient-1")
    assert done.stdout == "0 × truncated will be asked for again\n", done.stderr
    done = run("traces", "retry", path, "--reason", "truncated", "--reason", "rejected", "--teacher", "a")
    assert done.stdout == "6 × truncated will be asked for again\n0 × rejected will be asked for again\n", done.stderr
    aside = shown(run, "status", path)
    assert aside["spent"]["calls"] == 24
    assert [(line["teacher"], line["replies"]) for line in aside["lines"] if line["step"] == "full"] == [
        ("a", 0),
        ("b", 6),
        ("c", 6),
    ]
    bad.server.script = Script()
    told = shown(run, "generate", path)
    assert (told["before"], told["replies"], told["left"]) == (18, 12, 0)
    assert (bad.server.calls, good.server.calls) == (24, 12)  # six traces again and the rewrites of them
    after = shown(run, "status", path)
    assert after["spent"]["calls"] == 36
    assert {line["teacher"]: line["failed"] for line in after["lines"] if line["step"] == "full"} == {
        "a": {},
        "b": {"truncated": 6},
        "c": {},
    }


@pytest.mark.parametrize("reason", ["ok", "nonsense", "", "TRUNCATED"])
def test_retry_of_what_is_no_fault_is_refused_with_what_is_allowed(tmp_path: Path, run: Run, reason: str) -> None:
    store = filled(tmp_path / "s.sqlite", reply(1))
    said = refused(run, "retry", store, "--reason", reason)
    assert repr(reason) in said
    assert f"use {ALLOWED}" in said
    assert replies_of(store) == [reply(1)]


def test_retry_of_several_reasons_of_which_one_is_nonsense_changes_nothing(tmp_path: Path, run: Run) -> None:
    store = filled(tmp_path / "s.sqlite", reply(1, status=Status.TRUNCATED))
    refused(run, "retry", store, "--reason", "truncated", "--reason", "nonsense")
    assert len(replies_of(store)) == 1


def test_retry_without_a_store_or_while_a_run_holds_it_is_refused(tmp_path: Path, run: Run) -> None:
    store = tmp_path / "s.sqlite"
    assert "there is no store" in refused(run, "retry", store, "--reason", "truncated")
    assert not store.exists()
    with open_store(store):
        assert "is in use" in refused(run, "retry", store, "--reason", "truncated")


@pytest.mark.parametrize("verb", ["status", "export", "import", "retry"])
def test_what_is_no_store_is_refused(tmp_path: Path, run: Run, verb: str) -> None:
    write_replies(tmp_path / "1.parquet", [reply(1)])
    (tmp_path / "s.sqlite").write_text("no database at all, but long enough to be read as one" * 20, encoding="utf-8")
    options: dict[str, list[str | Path]] = {
        "status": [],
        "export": [tmp_path / "o.parquet"],
        "import": [tmp_path / "1.parquet"],
        "retry": ["--reason", "rejected"],
    }
    assert "s.sqlite" in refused(run, verb, tmp_path / "s.sqlite", *options[verb])
