"""Which traces are read: strata, order, choice, and what the sizes are good for."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.filters.quality import FILTERS
from safety_reasoning.review.sample import Drawn, Stratum
from tests.reviews import GOOD, LEAKS, SAFE, SHORT, drawn, fill, number, opinion, review_recipe

WRONG = "Prompt harm: harmful\n\nResponse harm: None"
RARE, SECOND = 40, 41
"""Prompts of one trace that leaks and of one whose verdict is wrong."""


def says(call: Call) -> tuple[str, str]:
    if call.step is not Step.FULL:
        return "", SHORT
    return (LEAKS if number(call) == RARE else GOOD), WRONG if number(call) == SECOND else SAFE


LEAKS_ALONE = {"off": [check.__name__ for check in FILTERS if check.__name__ != "label_leak"]}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """60 samples of two teachers in 8 strata, some of one trace."""
    return fill(review_recipe(tmp_path_factory.mktemp("sample"), 60, teachers=["a", "b"], filters=LEAKS_ALONE), says)


def short(stratum: Stratum) -> str:
    return f"{stratum.teacher} {stratum.step} {stratum.reason} {stratum.verdict}"


def strata(sample: list[Drawn]) -> dict[str, int]:
    return dict(Counter(short(one.stratum) for one in sample))


def keys(recipe: Recipe, **choice: Any) -> list[str]:
    return [one.key for one in drawn(recipe, **choice)]


def test_every_stratum_gives_equally_many_as_long_as_it_lasts(recipe: Recipe) -> None:
    sample = drawn(recipe, count=28)
    assert strata(sample) == {
        **{f"{teacher} full label_leak agrees": 1 for teacher in "ab"},
        **{f"{teacher} full kept differs": 1 for teacher in "ab"},
        **{f"{teacher} full kept agrees": 6 for teacher in "ab"},
        **{f"{teacher} efficient-1 kept none": 6 for teacher in "ab"},
    }
    sizes = {short(one.stratum): (one.size, one.drawn) for one in sample}
    assert sizes["a full kept agrees"] == (58, 6)
    assert sizes["a efficient-1 kept none"] == (59, 6)
    assert sizes["b full label_leak agrees"] == (1, 1)


def test_a_part_of_the_sample_is_a_stratified_sample_itself(recipe: Recipe) -> None:
    assert keys(recipe, count=28)[:12] == keys(recipe, count=12)
    assert set(strata(drawn(recipe, count=8)).values()) == {1}


def test_the_same_options_give_the_same_traces_and_another_seed_others(recipe: Recipe) -> None:
    assert keys(recipe, count=20) == keys(recipe, count=20)
    assert keys(recipe, count=20) != keys(recipe, count=20, seed=1)
    assert len(set(keys(recipe, count=20))) == 20
    assert len(keys(recipe, count=10_000)) == 2 * (60 + 59)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"teachers": {"b"}, "steps": {"efficient-1"}}, {"b efficient-1 kept none": 59}),
        ({"reasons": {"label_leak"}}, {"a full label_leak agrees": 1, "b full label_leak agrees": 1}),
        ({"reasons": {"overthinking"}}, {}),
    ],
    ids=["teacher and step", "reason", "none"],
)
def test_a_choice_takes_whole_strata(recipe: Recipe, choice: dict[str, Any], expected: dict[str, int]) -> None:
    assert strata(drawn(recipe, count=1000, **choice)) == expected


def test_every_trace_of_a_stratum_is_as_likely_to_be_drawn(recipe: Recipe) -> None:
    """Over 40 seeds each of 58 traces is drawn about 40 * 10 / 58 = 7 times, give or take 2.4."""
    choice: dict[str, Any] = {"teachers": {"a"}, "steps": {"full"}, "reasons": {"kept"}}
    drawings = Counter(
        one.key
        for seed in range(40)
        for one in drawn(recipe, count=11, seed=seed, **choice)
        if one.stratum.verdict == "agrees"
    )
    assert len(drawings) == 58
    assert max(drawings.values()) < 18


def test_what_the_judge_says_makes_a_stratum_and_every_attempt_is_there(tmp_path: Path) -> None:
    def judged(call: Call) -> tuple[str, str]:
        if call.step is Step.JUDGE:
            return "", "no JSON" if call.variables["reasoning"] == SHORT else opinion(unfounded="x")
        return ("", SHORT) if call.step is not Step.FULL else (GOOD, SAFE)

    recipe = fill(review_recipe(tmp_path, 2, judge=True, regenerate=1, filters=LEAKS_ALONE), judged)
    assert strata(drawn(recipe)) == {"a full judge_unfounded agrees": 4}


def test_a_reply_without_a_trace_is_not_read_and_an_empty_trace_is(tmp_path: Path) -> None:
    recipe = fill(review_recipe(tmp_path, 2), lambda call: (None if number(call) else "", SAFE))
    assert strata(drawn(recipe)) == {"a full empty agrees": 1}
