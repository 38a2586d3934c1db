"""A run over the store: budgets, second tries, several samples, faults, and chains that are found half done."""

import asyncio
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from safety_reasoning.builders.ask import ask_teachers
from safety_reasoning.builders.calls import Reply, Request, Status, Step
from safety_reasoning.builders.generate import generate
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.parts import read_requests, write_replies
from safety_reasoning.builders.progress import Silent
from safety_reasoning.builders.recipe import Sampling, load_recipe
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import open_store, view_store
from safety_reasoning.builders.teachers.server import Script, TeacherServer
from safety_reasoning.errors import Stopped, UsageError
from tests.conftest import (
    LiveTeacher,
    Run,
    aegis_row,
    build_here,
    json_lines,
    openai_teacher,
    serving,
    write_aegis,
    write_recipe,
)

Start = Callable[..., LiveTeacher]
Change = Callable[[dict[str, Any], dict[str, Any]], None]
WHY = "It asks about an ordinary thing, and nobody is harmed by it."
DEAD = "http://127.0.0.1:9/v1"


class ChangedServer(TeacherServer):
    """A scripted teacher that remembers what it was sent and when, and changes its whole answers."""

    def __init__(self, change: Change, **script: Any) -> None:
        super().__init__(Script(**script))
        self.change = change
        self.bodies: list[dict[str, Any]] = []
        self.seen_s: list[float] = []

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.seen_s.append(time.monotonic())
        response = await super()._complete(request)
        if not isinstance(response, web.Response) or response.status != 200:
            return response
        completion = json.loads(response.text or "")
        self.change(body, completion)
        return web.json_response(completion)


class ChangedTeacher(LiveTeacher):
    server: ChangedServer

    def __init__(self, server: ChangedServer) -> None:
        self.server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = self._call(self.server.start())


@contextmanager
def changed(change: Change, **script: Any) -> Iterator[ChangedTeacher]:
    live = ChangedTeacher(ChangedServer(change, **script))
    try:
        yield live
    finally:
        live.stop()


def as_it_is(body: dict[str, Any], completion: dict[str, Any]) -> None:
    """No change."""


def is_rewrite(body: dict[str, Any]) -> bool:
    return "one sentence" in body["messages"][-1]["content"]


def short_of(limit: int, *, rewrites: bool = True, others: bool = True) -> Change:
    """Answers with a lower token limit are truncated."""

    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        if body["max_tokens"] < limit and (rewrites if is_rewrite(body) else others):
            completion["choices"][0]["finish_reason"] = "length"
            completion["choices"][0]["message"]["content"] = "Prompt ha"

    return change


def recipe(
    folder: Path, *teachers: dict[str, Any], rows: int = 20, budget: dict[str, float] | None = None, **release: Any
) -> Path:
    aegis = write_aegis(folder / "aegis", [aegis_row(prompt=f"prompt {n}") for n in range(rows)])
    path = write_recipe(
        folder / "recipe.toml", sources=[{"kind": "aegis", "path": aegis}], teachers=list(teachers), **release
    )
    limits = "".join(f"{name} = {limit}\n" for name, limit in (budget or {}).items())
    path.write_text(f"{path.read_text(encoding='utf-8')}\n[budget]\n{limits}", encoding="utf-8")
    return path


def one(live: LiveTeacher | str, **changes: Any) -> dict[str, Any]:
    return openai_teacher("a", live if isinstance(live, str) else live.url, **changes)


def asked(path: Path) -> Ledger:
    """The ledger of a run that comes to its end."""
    ledger = Ledger()
    ask_teachers(load_recipe(path), Silent(), ledger)
    return ledger


def stopped(path: Path) -> tuple[Ledger, str]:
    """The ledger of a run that stops early, and what it says."""
    ledger = Ledger()
    with pytest.raises(Stopped) as stop:
        ask_teachers(load_recipe(path), Silent(), ledger)
    return ledger, str(stop.value)


def kept(folder: Path) -> list[Reply]:
    with view_store(folder / "store.sqlite") as store:
        return list(store)


def assert_whole(ledger: Ledger) -> None:
    """Every line of the ledger is done, to the call."""
    for line in ledger.summary()["lines"]:  # type: ignore[attr-defined]  # a list, as JSON has it
        assert (line["left"], line["total"]) == (0, line["before"] + line["replies"]), line


# Budgets


def test_a_budget_of_calls_is_kept_to_the_call_and_a_larger_one_goes_on(
    tmp_path: Path, run: Run, teacher: Start
) -> None:
    live = teacher(delay_s=0.01)
    done = run("traces", "generate", recipe(tmp_path, one(live, concurrency=8), budget={"calls": 13}))
    assert done.returncode == 130
    assert "budget.calls = 13 is met" in done.stderr
    assert "raise it in the recipe and run again to go on" in done.stderr
    first = live.server.calls
    assert first <= 13
    assert len(kept(tmp_path)) == first
    ledger = asked(recipe(tmp_path, one(live, concurrency=8), budget={"calls": 40}))
    assert_whole(ledger)
    assert (ledger.all().before, live.server.calls) == (first, 40)
    assert set(live.server.answered.values()) == {1}


@pytest.mark.parametrize("calls", [1, 8, 20, 39])
def test_a_budget_of_calls_is_spent_before_the_run_says_so(tmp_path: Path, teacher: Start, calls: int) -> None:
    live = teacher(delay_s=0.01)
    stopped(recipe(tmp_path, one(live, concurrency=8), budget={"calls": calls}))
    assert live.server.calls == len(kept(tmp_path)) == calls


def test_a_budget_of_nothing_asks_nothing(tmp_path: Path, teacher: Start) -> None:
    live = teacher()
    _, said = stopped(recipe(tmp_path, one(live), budget={"calls": 0}))
    assert "budget.calls = 0 is met" in said
    assert live.server.calls == 0


def test_a_budget_is_of_the_store_and_counts_replies_that_were_put_aside(tmp_path: Path, teacher: Start) -> None:
    live = teacher(odd="no_answer")
    asked(recipe(tmp_path, one(live), rows=4))
    with open_store(tmp_path / "store.sqlite") as store:
        assert store.retire(Status.EMPTY_ANSWER) == 4
    live.server.script = Script()
    stopped(recipe(tmp_path, one(live, concurrency=1), rows=4, budget={"calls": 6}))
    assert live.server.calls == 6


def test_a_budget_of_tokens_ends_the_run_a_little_above_it(tmp_path: Path, teacher: Start) -> None:
    live = teacher(words=99)
    path = recipe(tmp_path, one(live, concurrency=4), rows=60, budget={"tokens": 2000})
    _, said = stopped(path)
    assert "budget.tokens = 2000 (" in said
    used = sum(reply.prompt_tokens + reply.completion_tokens for reply in kept(tmp_path))
    assert 2000 <= used <= 2000 + 4 * 120


def test_a_budget_of_money_goes_by_the_price_tables(tmp_path: Path, teacher: Start) -> None:
    live = teacher()
    price = {"prompt": 1e6, "completion": 0}  # a dollar a call: the scripted teacher counts one token for a prompt
    ledger, said = stopped(recipe(tmp_path, one(live, concurrency=4, price=price), budget={"cost_usd": 6}))
    assert "budget.cost_usd = 6.0 (" in said
    used = sum(reply.cost_usd or 0 for reply in kept(tmp_path))
    assert 6 <= used <= 6 + 4
    assert ledger.all().cost_usd == pytest.approx(used)
    with view_store(tmp_path / "store.sqlite") as store:
        assert store.spent().cost_usd == pytest.approx(used)
    ledger = asked(recipe(tmp_path, one(live, price=price), budget={"cost_usd": 41}))
    assert_whole(ledger)
    assert live.server.calls == 40


def test_a_cost_is_prompt_and_completion_at_their_prices(tmp_path: Path, teacher: Start) -> None:
    asked(recipe(tmp_path, one(teacher(), price={"prompt": 3.0, "completion": 15.0}), rows=1))
    for reply in kept(tmp_path):
        assert reply.cost_usd == pytest.approx((reply.prompt_tokens * 3 + reply.completion_tokens * 15) / 1e6)


def test_a_budget_of_money_needs_a_price_for_every_teacher(tmp_path: Path, run: Run) -> None:
    priced = openai_teacher("b", DEAD, price={"prompt": 1.0, "completion": 1.0})
    done = run("traces", "generate", recipe(tmp_path, one(DEAD), priced, budget={"cost_usd": 1}))
    assert done.returncode == 2
    assert "budget.cost_usd needs a `price` for every teacher; a has none" in done.stderr


# Second tries of truncated replies

LONGER = {"max_tokens": 50, "retry_max_tokens": 200}


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


# Chains that are found half done


class Batch:
    """A batch engine that answers every request of a wave at once."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.widest = 0

    def answer(self, requests: Path, replies: Path, stop: threading.Event) -> Counter[str]:
        wave = [request for part in sorted(requests.glob("*.parquet")) for request in read_requests(part)]
        self.asked += wave
        self.widest = max(self.widest, len(wave))
        write_replies(replies / f"{len(self.asked):06}.parquet", map(self.reply, wave))
        return Counter()

    def reply(self, request: Request) -> Reply:
        status = Status.TRUNCATED if request.sampling.max_tokens < 100 else Status.OK
        return request.reply(status, reasoning=WHY, answer="Prompt harm: unharmful\n\nResponse harm: None")

    def close(self) -> None:
        """Nothing is open."""


def batched(path: Path) -> tuple[Ledger, Batch]:
    """The ledger of a run in waves, and its engine."""
    loaded, ledger, engine = load_recipe(path), Ledger(), Batch()
    samples = load_sources(loaded.sources).samples
    with open_store(Path(loaded.release.store)) as store:
        generate(loaded, samples, store, Silent(), lambda _: engine, ledger)
    return ledger, engine


def of(step: Step, index: int = 0) -> Callable[[Reply], bool]:
    return lambda reply: (reply.step, reply.sample_index) == (step, index)


GAPS: dict[str, tuple[dict[str, Any], Callable[[Reply], bool]]] = {
    "nothing": ({}, lambda reply: True),
    "the rewrite": ({}, of(Step.EFFICIENT_1)),
    "the full trace, but not its rewrite": ({}, of(Step.FULL)),
    "the full trace, but not the prediction": ({"verdict": "blind"}, of(Step.FULL)),
    "the prediction": ({"verdict": "blind"}, of(Step.PREDICT)),
    "all but the prediction": ({"verdict": "blind"}, lambda reply: not of(Step.PREDICT)(reply)),
    "the second of three samples": ({"samples": 3}, of(Step.FULL, 1)),
    "the first of three samples": ({"samples": 3}, of(Step.FULL)),
    "truncated replies, but not the longer ones": (
        {"full": LONGER, "efficient": LONGER},
        lambda reply: reply.status is Status.TRUNCATED,
    ),
    "longer replies": ({"full": LONGER}, lambda r: of(Step.FULL)(r) and r.status is Status.OK),
    "truncated first samples": (
        {"full": LONGER, "samples": 3},
        lambda r: r.status is Status.TRUNCATED and r.sample_index == 0,
    ),
}


@pytest.mark.parametrize("engine", ["openai", "ray"])
@pytest.mark.parametrize(("settings", "lacks"), GAPS.values(), ids=GAPS.keys())
def test_a_chain_that_lacks_a_part_is_completed_and_counted_to_the_call(
    tmp_path: Path, settings: dict[str, Any], lacks: Callable[[Reply], bool], engine: str
) -> None:
    settings = dict(settings)
    release = {"verdict": settings.pop("verdict", "with_trace")}
    with changed(short_of(100)) as live:
        whole = tmp_path / "whole"
        asked(recipe(whole, one(live, **settings), rows=5, **release))
        replies = kept(whole)
        with open_store(tmp_path / "store.sqlite") as store:
            store.append(reply for reply in replies if not lacks(reply))
            there = len(store)
        before = len(live.server.bodies)
        path = recipe(tmp_path, one(live, engine=engine, **settings), rows=5, **release)
        if engine == "openai":
            ledger, count = asked(path), len(live.server.bodies) - before
        else:
            ledger, batch = batched(path)
            count = len(batch.asked)
    assert {reply.key for reply in kept(tmp_path)} == {reply.key for reply in replies}
    assert count == len(replies) - there
    assert_whole(ledger)
    assert (ledger.all().before, ledger.all().replies) == (there, count)


def test_a_batch_engine_is_given_no_more_calls_than_the_budget_allows(tmp_path: Path) -> None:
    loaded = load_recipe(recipe(tmp_path, one(DEAD, engine="ray"), budget={"calls": 7}))
    engine = Batch()
    with open_store(Path(loaded.release.store)) as store, pytest.raises(Stopped, match=r"budget\.calls = 7 is met"):
        generate(loaded, load_sources(loaded.sources).samples, store, Silent(), lambda _: engine, Ledger())
    assert len(engine.asked) == 7


def test_what_a_sampling_is_made_of_shapes_the_key_of_its_longer_form() -> None:
    sampling = Sampling(max_tokens=10, retry_max_tokens=50)
    assert sampling.shape["max_tokens"] == 10  # read before: what is computed once must not be carried over
    assert sampling.longer().shape == Sampling(max_tokens=50).shape


def test_an_engine_that_breaks_does_not_cost_what_was_answered(tmp_path: Path, teacher: Start) -> None:
    live = teacher(models=("scripted-a",))
    with pytest.raises(UsageError, match="teacher b: the server knows no model"):
        asked(recipe(tmp_path, one(live), openai_teacher("b", live.url), rows=4))
    assert len(kept(tmp_path)) == 8


def test_the_seconds_of_asking_are_those_from_the_first_call_to_the_last_commit(tmp_path: Path) -> None:
    with serving(delay_s=0.1) as live:
        ledger = asked(recipe(tmp_path, one(live), rows=2))
    assert 0.2 <= ledger.asking_s < 30
    assert not math.isnan(ledger.asking_s)
