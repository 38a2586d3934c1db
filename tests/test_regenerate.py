"""A trace that a filter drops is asked for again: how, how often, and what is kept of it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.calls import Status, Step
from safety_reasoning.builders.join import join
from safety_reasoning.builders.prompts import rubric_modes
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.builders.regenerate import AGAIN, WORDS
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import view_store
from safety_reasoning.filters.reasons import Drop
from tests.changed_teacher import Change, as_it_is, asked, assert_whole, changed, is_rewrite, kept, one, recipe, stopped
from tests.conftest import build_here, json_lines

LEAK = "The ground truth label says that the prompt is unharmful. So it is about an ordinary kitchen task."
GOOD = "Sharpening a knife is an ordinary kitchen task, and no category is touched by it."
SEED = 1_000_003


def leaks_unless(good: Any) -> Change:
    """Full traces leak the label, except where `good(body)`."""

    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        if not is_rewrite(body):
            completion["choices"][0]["message"]["reasoning"] = GOOD if good(body) else LEAK

    return change


def fulls(live: Any) -> list[dict[str, Any]]:
    return [body for body in live.server.bodies if not is_rewrite(body)]


def test_the_next_attempt_has_another_seed_and_its_trace_is_released(tmp_path: Path) -> None:
    with changed(leaks_unless(lambda body: body["seed"] == SEED)) as live:
        manifest = build_here(recipe(tmp_path, one(live), rows=3, regenerate=3))
    assert Counter(body["seed"] for body in fulls(live)) == {0: 3, SEED: 3}
    assert len({(body["temperature"], body["messages"][0]["content"]) for body in fulls(live)}) == 3
    records = json_lines(tmp_path / "release" / "aegis_v2_efficient_reasoning.jsonl")
    assert {record["safety_reasoning_a"] for record in records} == {GOOD}
    assert manifest["dropped_traces"] == []
    assert Counter((r.step, r.attempt) for r in kept(tmp_path)) == {
        (Step.FULL, 0): 3,
        (Step.FULL, 1): 3,
        (Step.EFFICIENT_1, 0): 3,
    }


def test_then_another_temperature_and_then_the_teacher_is_told_what_was_wrong(tmp_path: Path) -> None:
    with changed(leaks_unless(lambda body: "An earlier attempt" in body["messages"][0]["content"])) as live:
        assert_whole(asked(recipe(tmp_path, one(live), rows=1, regenerate=3)))
    first, second, third, fourth = fulls(live)
    assert [body["seed"] for body in fulls(live)] == [0, SEED, 2 * SEED, 3 * SEED]
    assert [round(body["temperature"], 6) for body in fulls(live)] == [0.6, 0.6, 0.9, 0.6]
    said = first["messages"][0]["content"]
    assert second["messages"][0]["content"] == third["messages"][0]["content"] == said
    assert fourth["messages"][0]["content"].startswith(said)
    assert WORDS[Drop.LABEL_LEAK] in fourth["messages"][0]["content"].removeprefix(said)


def test_a_trace_that_stays_bad_is_dropped_once_with_its_reason(tmp_path: Path) -> None:
    with changed(leaks_unless(lambda body: "prompt 1" in body["messages"][0]["content"])) as live:
        manifest = build_here(recipe(tmp_path, one(live), rows=2, regenerate=2))
    assert len(fulls(live)) == 4
    assert manifest["dropped_traces"] == [{"teacher": "a", "step": "full", "reason": "label_leak", "traces": 1}]
    assert manifest["left_out"] == [{"config": "content_safety", "reason": "no_usable_trace", "rows": 1}]


def test_a_filter_that_the_recipe_turns_off_drops_nothing(tmp_path: Path) -> None:
    with changed(leaks_unless(lambda body: False)) as live:
        manifest = build_here(recipe(tmp_path, one(live), rows=2, regenerate=2, filters={"off": ["label_leak"]}))
    assert len(fulls(live)) == 2
    assert manifest["dropped_traces"] == []


def test_what_the_server_rejects_is_not_asked_again(tmp_path: Path) -> None:
    with changed(as_it_is, reject="prompt 0") as live:
        assert_whole(asked(recipe(tmp_path, one(live), rows=2, regenerate=3)))
    assert len(live.server.bodies) == 3


@pytest.mark.parametrize("odd", ["no_reasoning", "no_answer"])
def test_an_answer_that_is_not_whole_is_asked_again(tmp_path: Path, odd: str) -> None:
    with changed(as_it_is, odd=odd) as live:
        assert_whole(asked(recipe(tmp_path, one(live), rows=1, regenerate=3)))
    assert len(live.server.bodies) == 4


@pytest.mark.parametrize("sentences", [1, 3])
def test_a_rewrite_beyond_its_budget_of_sentences_is_asked_again(tmp_path: Path, sentences: int) -> None:
    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        if "Below is the reasoning" in body["messages"][0]["content"]:
            count = sentences + (body["seed"] < 2 * SEED)
            parts = [
                "It asks how to care for knives",
                "Nobody is hurt by a whetstone",
                "The answer is safe to give",
                "All is well",
            ]
            completion["choices"][0]["message"]["content"] = ". ".join(parts[:count]) + "."

    with changed(change) as live:
        build_here(recipe(tmp_path, one(live), rows=1, regenerate=3, sentences=sentences))
    rewrites = [body for body in live.server.bodies if "Below is the reasoning" in body["messages"][0]["content"]]
    assert [body["seed"] for body in rewrites] == [0, SEED, 2 * SEED]
    told = "one sentence" if sentences == 1 else f"at most {sentences} sentences"
    assert all(told in body["messages"][0]["content"] for body in rewrites)
    assert Counter(r.step for r in kept(tmp_path)) == {Step.FULL: 1, Step.efficient(sentences): 3}


def test_a_stricter_filter_asks_again_for_what_it_drops_and_for_nothing_else(tmp_path: Path) -> None:
    with changed(leaks_unless(lambda body: body["seed"] or "prompt 1" in body["messages"][0]["content"])) as live:
        asked(recipe(tmp_path, one(live), rows=3, regenerate=1, filters={"off": ["label_leak"]}))
        before = len(live.server.bodies)
        assert before == 6
        path = recipe(tmp_path, one(live), rows=3, regenerate=1)
        assert_whole(asked(path))
        again = live.server.bodies[before:]
        assert Counter(is_rewrite(body) for body in again) == {False: 2, True: 2}
        asked(path)
        assert len(live.server.bodies) == before + 4


def test_stopped_between_two_attempts_it_goes_on_to_the_same_release(tmp_path: Path) -> None:
    with changed(leaks_unless(lambda body: body["seed"] == SEED)) as live:
        for calls in (2, 4, 5):
            stopped(recipe(tmp_path, one(live, concurrency=2), rows=3, regenerate=3, budget={"calls": calls}))
        path = recipe(tmp_path, one(live, concurrency=2), rows=3, regenerate=3)
        assert_whole(asked(path))
        assert len(live.server.bodies) == 9
    loaded = load_recipe(path)
    with view_store(tmp_path / "store.sqlite") as store:
        joined = join(loaded, load_sources(loaded.sources).samples, store)
    assert [record.traces["a"].full for record in joined.records] == [GOOD] * 3


def test_every_failure_has_words_for_the_teacher() -> None:
    assert set(WORDS) == set(Drop) | AGAIN | set(rubric_modes())
    assert Status.REJECTED not in AGAIN
