"""A budget of calls, tokens or money stops a run, and counts what all runs have spent."""

from pathlib import Path

import pytest

from safety_reasoning.builders.calls import Status
from safety_reasoning.builders.store import open_store, view_store
from safety_reasoning.builders.teachers.server import Script
from tests.changed_teacher import DEAD, Start, asked, assert_whole, kept, one, recipe, stopped
from tests.conftest import (
    Run,
    openai_teacher,
)


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
    assert "budget.cost_usd needs a `price` for every teacher and judge; a has none" in done.stderr
