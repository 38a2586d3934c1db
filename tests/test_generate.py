"""A run over the store: second tries, several samples, faults, and other engines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.calls import Status, Step
from safety_reasoning.builders.parts import write_replies
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import view_store
from safety_reasoning.builders.teachers.server import Script
from tests.changed_teacher import (
    DEAD,
    LONGER,
    Change,
    Start,
    as_it_is,
    asked,
    assert_whole,
    changed,
    is_rewrite,
    kept,
    one,
    recipe,
    short_of,
    stopped,
)
from tests.conftest import (
    Run,
    aegis_row,
    build_here,
    json_lines,
    openai_teacher,
    write_aegis,
)

# Second tries of truncated replies


def test_a_truncated_reply_is_asked_once_more_and_the_longer_one_released(tmp_path: Path) -> None:
    with changed(short_of(100)) as live:
        path = recipe(tmp_path, one(live, full=LONGER, efficient=LONGER), rows=3)
        ledger = asked(path)
        assert Counter(body["max_tokens"] for body in live.server.bodies) == {50: 6, 200: 6}
        assert_whole(ledger)
        assert Counter(reply.status for reply in kept(tmp_path)) == {Status.TRUNCATED: 6, Status.OK: 6}
        again = asked(path)
        assert len(live.server.bodies) == 12
        assert (again.all().before, again.all().left) == (12, 0)
    build_here(path, ask=False)
    for record in json_lines(tmp_path / "release" / "aegis_v2_efficient_reasoning.jsonl"):
        assert record["safety_reasoning_a"].endswith(".")
        assert record["efficient_safety_reasoning_trace_a"] == "The stated rules settle it."
        assert record["prediction_gt_mismatch_a"] is False


def test_a_reply_that_is_truncated_twice_stays_so(tmp_path: Path) -> None:
    with changed(short_of(1000)) as live:
        path = recipe(tmp_path, one(live, full=LONGER), rows=2)
        ledger = asked(path)
        assert_whole(ledger)
        assert Counter(body["max_tokens"] for body in live.server.bodies) == {50: 2, 200: 2}
        assert asked(path).all().replies == 0


def test_without_a_longer_limit_a_truncated_reply_is_asked_once(tmp_path: Path) -> None:
    with changed(short_of(1000)) as live:
        ledger = asked(recipe(tmp_path, one(live, full={"max_tokens": 50}), rows=2))
        assert_whole(ledger)
        assert len(live.server.bodies) == 2


@pytest.mark.parametrize("step", ["full", "predict", "efficient"])
def test_a_longer_limit_that_is_added_later_is_asked_for_the_truncated_replies_alone(tmp_path: Path, step: str) -> None:
    def truncated(body: dict[str, Any], completion: dict[str, Any]) -> None:
        if body["temperature"] == 0.25 and body["max_tokens"] < 100:
            completion["choices"][0]["finish_reason"] = "length"

    with changed(truncated) as live:
        short = {"max_tokens": 50, "temperature": 0.25}
        asked(recipe(tmp_path, one(live, **{step: short}), rows=3, verdict="blind"))
        before = len(live.server.bodies)
        path = recipe(tmp_path, one(live, **{step: short | LONGER}), rows=3, verdict="blind")
        ledger = asked(path)
        assert_whole(ledger)
        again = Counter((is_rewrite(body), body["max_tokens"]) for body in live.server.bodies[before:])
        assert again[step == "efficient", 200] == 3
        assert sum(again.values()) == (6 if step == "full" else 3)
        with view_store(tmp_path / "store.sqlite") as store:
            loaded = load_recipe(path)
            for sample in load_sources(loaded.sources).samples:
                assert resume(sample, loaded.teachers[0], loaded, store).answers is not None


def test_stopped_between_a_truncated_reply_and_the_longer_one_it_goes_on(tmp_path: Path) -> None:
    with changed(short_of(100, others=False)) as live:
        stopped(recipe(tmp_path, one(live, efficient=LONGER), rows=1, budget={"calls": 2}))
        ledger = asked(recipe(tmp_path, one(live, efficient=LONGER), rows=1))
        assert [body["max_tokens"] for body in live.server.bodies] == [4096, 50, 200]
        assert_whole(ledger)


def test_truncated_replies_that_are_asked_again_anyway_do_not_stop_a_teacher(tmp_path: Path) -> None:
    with changed(short_of(100), delay_s=0.05) as live:
        ledger = asked(recipe(tmp_path, one(live, full=LONGER, concurrency=64), rows=64))
        assert_whole(ledger)
        assert not ledger.stopped


# Several samples


def by_seed(wrong: Sequence[int], unusable: Sequence[int] = ()) -> Change:
    """Every seed has its own trace; some of them a verdict that differs, some a trace that is filtered."""

    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        message = completion["choices"][0]["message"]
        if "reasoning" in message:
            seed = body["seed"]
            message["reasoning"] = f"It was settled by seed {seed}."
            if seed in unusable:
                message["reasoning"] = "so\nPrompt harm: harmful"
            if seed in wrong:
                message["content"] = message["content"].replace("harm: unharmful", "harm: harmful")

    return change


@pytest.mark.parametrize(
    ("wrong", "unusable", "released"),
    [((), (), 7), ((7,), (), 8), ((7, 8), (), 9), ((7, 8, 9), (), 7), ((8,), (7,), 9), ((8, 9), (7,), 8)],
)
def test_the_first_usable_sample_that_agrees_is_released(
    tmp_path: Path, wrong: tuple[int, ...], unusable: tuple[int, ...], released: int
) -> None:
    with changed(by_seed(wrong, unusable)) as live:
        full = {"seed": 7, "temperature": 1.0}
        path = recipe(tmp_path, one(live, samples=3, full=full), openai_teacher("b", live.url), rows=4, keep="b")
        ledger = asked(path)
        assert_whole(ledger)
        seeds = [body["seed"] for body in live.server.bodies if body["temperature"] == 1.0]
        assert Counter(seeds) == {7: 4, 8: 4, 9: 4}
    full_replies = [r for r in kept(tmp_path) if (r.teacher, r.step) == ("a", Step.FULL)]
    assert len(full_replies) == 12  # each under a key of its own
    assert Counter(reply.sample_index for reply in full_replies) == {0: 4, 1: 4, 2: 4}
    build_here(path, ask=False)
    records = json_lines(tmp_path / "release" / "aegis_v2_efficient_reasoning.jsonl")
    assert {record["safety_reasoning_a"] for record in records} == {f"It was settled by seed {released}."}


def test_more_samples_later_ask_only_for_those(tmp_path: Path, teacher: Start) -> None:
    live = teacher()
    asked(recipe(tmp_path, one(live), rows=5))
    assert live.server.calls == 10
    ledger = asked(recipe(tmp_path, one(live, samples=3), rows=5))
    assert_whole(ledger)
    assert (ledger.all().before, ledger.all().replies) == (10, 10)
    assert live.server.calls == 20


# What stops a teacher


def test_the_same_fault_in_every_reply_stops_the_teacher_and_not_the_others(
    tmp_path: Path, run: Run, teacher: Start
) -> None:
    good, bad = teacher(), teacher(odd="no_reasoning")
    teachers = [openai_teacher("a", good.url), openai_teacher("b", bad.url, concurrency=4)]
    path = recipe(tmp_path, *teachers, rows=60)
    done = run("traces", "generate", path)
    assert done.returncode == 2, done.stderr
    assert "teacher b: 32 replies in a row ended as `empty_reasoning`" in done.stderr
    assert "safety-reasoning traces retry" in done.stderr
    assert "--reason empty_reasoning" in done.stderr
    assert "Traceback" not in done.stderr
    assert good.server.calls == 120
    assert 32 <= bad.server.calls <= 32 + 4
    bad.server.script = Script()
    retried = run("traces", "retry", path, "--reason", "empty_reasoning")
    assert retried.returncode == 0, retried.stderr
    assert run("traces", "generate", path).returncode == 0
    assert good.server.calls == 120


def test_a_fault_that_good_replies_interrupt_stops_nothing(tmp_path: Path, teacher: Start) -> None:
    live = teacher(reject="poison")
    rows = [aegis_row(prompt=f"{'poison' if n % 31 else 'good'} {n}") for n in range(124)]
    path = recipe(tmp_path, one(live, concurrency=1), rows=1)
    write_aegis(tmp_path / "aegis", rows)
    ledger = asked(path)
    assert not ledger.stopped
    assert ledger.all().failed["rejected"] == 120


def test_several_teachers_are_asked_at_once(tmp_path: Path) -> None:
    with changed(as_it_is, delay_s=0.02) as first, changed(as_it_is, delay_s=0.02) as second:
        teachers = [openai_teacher(n, live.url, concurrency=2) for n, live in (("a", first), ("b", second))]
        ledger = asked(recipe(tmp_path, *teachers, rows=20))
        assert_whole(ledger)
        assert min(second.server.seen_s) < max(first.server.seen_s)
        assert min(first.server.seen_s) < max(second.server.seen_s)
        assert {name: line.done for name, line in ledger.teachers().items()} == {"a": 40, "b": 40}


def test_a_key_that_is_not_set_is_an_error_in_words(tmp_path: Path, run: Run) -> None:
    done = run("traces", "generate", recipe(tmp_path, one(DEAD, api_key_env="NOT_SET_ANYWHERE")))
    assert done.returncode == 2, done.stderr
    assert "NOT_SET_ANYWHERE is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_is_damaged_is_an_error_in_words(tmp_path: Path, run: Run, teacher: Start) -> None:
    path = recipe(tmp_path, one(teacher()), rows=60)
    asked(path)
    store = tmp_path / "store.sqlite"
    whole = store.read_bytes()
    store.write_bytes(whole[:8192] + bytes(len(whole) - 8192))
    for verb in ("generate", "status"):
        done = run("traces", verb, path)
        assert done.returncode == 2, (verb, done.stderr)
        assert "Traceback" not in done.stderr
        assert "store.sqlite" in done.stderr


# Another engine, other servers


def test_a_run_that_moves_to_other_servers_repeats_nothing(tmp_path: Path, teacher: Start) -> None:
    lives = [teacher(), teacher(), teacher()]
    stopped(recipe(tmp_path, one(lives[0], concurrency=3), budget={"calls": 10}))
    urls = [lives[1].url, lives[2].url]
    path = recipe(tmp_path, one(lives[1], base_urls=urls, concurrency=32, timeout_s=9.0, attempts=2))
    assert_whole(asked(path))
    answered = sum((live.server.answered for live in lives), Counter[str]())
    assert set(answered.values()) == {1}
    assert sum(live.server.calls for live in lives) == 40


def test_replies_that_a_killed_batch_run_left_are_merged_by_the_next_run(tmp_path: Path, teacher: Start) -> None:
    elsewhere = tmp_path / "elsewhere"
    asked(recipe(elsewhere, one(teacher())))
    left = kept(elsewhere)[::2]
    live = teacher()
    folder = tmp_path / "store.sqlite.parts" / "a" / "replies"
    write_replies(folder / "000-000.parquet", left[:5])
    write_replies(folder / "001-000.parquet", left[3:])  # some of them twice
    ledger = asked(recipe(tmp_path, one(live, price={"prompt": 1e6, "completion": 0})))
    assert_whole(ledger)
    assert (ledger.all().before, live.server.calls) == (len(left), 40 - len(left))
    assert list(folder.glob("*.parquet")) == []
    assert all(reply.cost_usd for reply in kept(tmp_path))
    assert {reply.key for reply in kept(tmp_path)} == {reply.key for reply in kept(elsewhere)}


def test_a_part_that_cannot_be_read_is_an_error_that_names_it_and_stays(
    tmp_path: Path, run: Run, teacher: Start
) -> None:
    part = tmp_path / "store.sqlite.parts" / "a" / "replies" / "torn.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"PAR1 and no more")
    done = run("traces", "generate", recipe(tmp_path, one(teacher())))
    assert done.returncode == 2, done.stderr
    assert "torn.parquet cannot be read as a part" in done.stderr
    assert part.exists()


def test_the_folder_of_parts_is_relative_to_the_recipe(tmp_path: Path) -> None:
    made = load_recipe(recipe(tmp_path, one(DEAD, engine="ray", ray={"parts": "parts"})))
    assert made.teachers[0].ray.parts == str(tmp_path / "parts")
