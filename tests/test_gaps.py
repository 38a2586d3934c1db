"""Chains that are found half done, by workers and by waves: completed, and counted to the call."""

import math
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.ask import open_teacher
from safety_reasoning.builders.calls import Reply, Request, Status, Step
from safety_reasoning.builders.generate import generate
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.parts import read_requests, write_replies
from safety_reasoning.builders.progress import Silent
from safety_reasoning.builders.recipe import JudgeRecipe, Sampling, load_recipe
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import open_store
from safety_reasoning.errors import Stopped, UsageError
from tests.changed_teacher import DEAD, LONGER, WHY, Start, asked, assert_whole, changed, kept, one, recipe, short_of
from tests.conftest import (
    openai_teacher,
    serving,
)


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
        generate(
            loaded,
            samples,
            store,
            Silent(),
            lambda asked: open_teacher(asked) if isinstance(asked, JudgeRecipe) else engine,
            ledger,
        )
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
    "the judge's": ({"judge": {}}, lambda r: r.step is Step.JUDGE),
    "the judge's on the second of two samples": (
        {"judge": {}, "samples": 2},
        lambda r: r.step is Step.JUDGE and r.sample_index == 1,
    ),
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
    release: dict[str, Any] = {"verdict": settings.pop("verdict", "with_trace")}
    with changed(short_of(100)) as live:
        if "judge" in settings:
            release["judge"] = openai_teacher("j", live.url) | settings.pop("judge")
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
            count = len(batch.asked) + len(live.server.bodies) - before
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


def test_the_judge_is_asked_between_waves(tmp_path: Path) -> None:
    with changed(short_of(0)) as live:
        judge = openai_teacher("j", live.url)
        path = recipe(tmp_path, one(DEAD, engine="ray"), rows=5, judge=judge, filters={"off": ["verdict_line"]})
        ledger, batch = batched(path)
        assert_whole(ledger)
        assert Counter(request.step for request in batch.asked) == {Step.FULL: 5, Step.EFFICIENT_1: 5}
        assert len(live.server.bodies) == 5  # a rewrite that the filters drop is not judged
        assert batched(path)[0].all().replies == 0
