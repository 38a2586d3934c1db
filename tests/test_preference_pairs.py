"""Which generations make a pair, and which do not: without a model."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.verdicts import parse_harm, split_think
from safety_reasoning.train.preference_pairs import Paired, PairRules, Unpaired, completion, pair_all, pair_row
from tests.tiny_model import mixture_row

ONE = PairRules(samples="difficult", per_row=1, unparsed=False, seed=0)


def rules(**changes: Any) -> PairRules:
    return dataclasses.replace(ONE, **changes)


def sample(*outcomes: str, kind: str = "difficult", number: int = 1) -> dict[str, Any]:
    """A row with a generation of each outcome, each of another text."""
    generations = [
        {"outcome": outcome, "said": None, "reasoning": f"{outcome} {place}", "answer": "A.", "tokens": 1}
        for place, outcome in enumerate(outcomes)
    ]
    return {"key": f"{number:032x}", "mode": "reasoning", "kind": kind, "generations": generations}


def texts(found: list[tuple[str, str]] | Unpaired) -> list[tuple[str, str]]:
    assert not isinstance(found, Unpaired)
    return found


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(sample("right", "right"), Unpaired.NONE_WRONG, id="all right"),
        pytest.param(sample("wrong", "wrong"), Unpaired.NONE_RIGHT, id="all wrong"),
        pytest.param(sample("right", "wrong", kind="seldom_right"), Unpaired.NOT_DIFFICULT, id="not difficult"),
        pytest.param(sample("right", "truncated"), Unpaired.NONE_WRONG, id="truncated has no end"),
        pytest.param(sample("right", "empty", "failed"), Unpaired.NONE_WRONG, id="nothing to reject"),
        pytest.param(sample("right", "unparsed"), Unpaired.NONE_WRONG, id="unparsed is not asked for"),
    ],
)
def test_a_row_without_a_pair_says_why(given: dict[str, Any], why: Unpaired) -> None:
    assert pair_row(given, ONE) is why


def test_a_pair_is_a_right_and_a_wrong_answer() -> None:
    ((chosen, rejected),) = texts(pair_row(sample("wrong", "right", "right", "right"), ONE))
    assert chosen.startswith("<think>\nright ") and rejected.startswith("<think>\nwrong 0\n</think>")


def test_rules_widen_what_is_paired() -> None:
    seldom = sample("right", "wrong", kind="seldom_right")
    assert len(texts(pair_row(seldom, rules(samples="mixed")))) == 1
    assert len(texts(pair_row(sample("right", "unparsed"), rules(unparsed=True)))) == 1


def test_several_pairs_of_a_row_are_all_different_and_use_every_answer_before_one_comes_again() -> None:
    four = sample("right", "right", "wrong", "wrong")
    assert [len(texts(pair_row(four, rules(per_row=n)))) for n in (1, 2, 3, 4, 9)] == [1, 2, 3, 4, 4]
    found = texts(pair_row(four, rules(per_row=2)))
    assert len({right for right, _ in found}) == len({wrong for _, wrong in found}) == 2
    uneven = texts(pair_row(sample("right", "wrong", "wrong", "wrong"), rules(per_row=3)))
    assert len({wrong for _, wrong in uneven}) == 3


def test_answers_that_are_the_same_are_one() -> None:
    twice = sample("right", "right", "wrong")
    twice["generations"][1] = twice["generations"][0]
    assert len(texts(pair_row(twice, rules(per_row=9)))) == 1


def test_the_seed_decides_and_the_order_of_generations_does_not() -> None:
    many = sample(*["right"] * 8, *["wrong"] * 8)
    other = many | {"generations": many["generations"][::-1]}
    assert pair_row(many, ONE) == pair_row(other, ONE)
    assert len({str(pair_row(many, rules(seed=seed))) for seed in range(8)}) > 1


def paired(*samples: dict[str, Any], **changes: Any) -> Paired:
    rows = {(one["key"], "reasoning"): mixture_row(int(one["key"], 16), mode="reasoning") for one in samples}
    return pair_all(samples, rows, rules(**changes))


def test_all_pairs_have_one_hash_that_their_content_decides() -> None:
    first, second = sample("right", "wrong"), sample("right", "wrong", number=2)
    assert paired(first, second).hash == paired(first, second).hash
    assert len({paired(first, second).hash, paired(second, first).hash, paired(first).hash}) == 3


def test_rows_without_a_pair_are_counted() -> None:
    found = paired(sample("right", "wrong"), sample("right", number=2), sample("wrong", number=3))
    assert len(found.pairs) == 1
    assert found.unpaired == {Unpaired.NONE_WRONG: 1, Unpaired.NONE_RIGHT: 1}


def test_a_pair_is_a_conversation_as_trl_reads_it() -> None:
    (pair,) = paired(sample("right", "wrong")).pairs
    columns = pair.columns()
    assert columns["prompt"] == [{"role": "user", "content": "Is number 1 harmful?"}]
    assert [columns[side][0]["role"] for side in ("chosen", "rejected")] == ["assistant", "assistant"]
    assert "right 0" in columns["chosen"][0]["content"] and "wrong 1" in columns["rejected"][0]["content"]


@given(st.text(), st.one_of(st.none(), st.text()))
def test_what_the_guard_wrote_is_put_together_as_it_was(answer: str, reasoning: str | None) -> None:
    text = completion(reasoning, answer)
    if reasoning is not None and "</think>" not in answer:
        assert split_think(text) == (reasoning.strip().removeprefix("<think>").strip(), answer.strip())
    if reasoning is None:
        assert text == answer
    parse_harm(text)
