"""Subsets, splits and turns, as properties of a seed and keys."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.train.mixture_recipe import Choice
from safety_reasoning.train.subset import best_first, modes, shuffled, teachers_of

KEYS = st.sets(st.text(min_size=1), min_size=1, max_size=40)


@given(KEYS, st.integers(), st.data())
def test_a_smaller_subset_is_part_of_a_larger_one_whatever_the_order_of_the_rows(
    keys: set[str], seed: int, data: st.DataObject
) -> None:
    order = shuffled(keys, seed)
    assert sorted(order) == sorted(keys)
    assert shuffled(data.draw(st.permutations(sorted(keys))), seed) == order


@given(KEYS, st.integers(), st.data())
def test_leaving_a_row_out_moves_no_other(keys: set[str], seed: int, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(keys)))
    assert shuffled(keys - {gone}, seed) == [key for key in shuffled(keys, seed) if key != gone]


def test_four_seeds_give_four_subsets() -> None:
    keys = [f"{n:032x}" for n in range(5000)]
    subsets = [frozenset(shuffled(keys, seed)[:500]) for seed in (1, 2, 3, 4)]
    overlaps = [len(a & b) for a in subsets for b in subsets if a is not b]
    assert all(20 < overlap < 90 for overlap in overlaps), "chance alone gives about 50"


@given(st.integers(0, 1000))
def test_a_dual_split_is_exact_in_every_beginning(count: int) -> None:
    counts = Counter(modes("dual", count))
    assert counts["reasoning"] - counts["non_reasoning"] == count % 2
    assert modes("dual", count) == modes("dual", 1001)[:count]
    assert set(modes("reasoning", count)) <= {"reasoning"}


@given(st.lists(st.sets(st.sampled_from("abc"), min_size=1), max_size=30))
def test_nobody_teaches_a_row_on_which_they_cannot_be_trusted(trusted: list[set[str]]) -> None:
    choices: list[Choice] = ["best", "round_robin"]
    for choice in choices:
        chosen = teachers_of(trusted, choice, ["b", "c", "a"])
        assert all(name in names for name, names in zip(chosen, trusted, strict=True))


def test_turns_are_even_where_everybody_can_be_trusted() -> None:
    chosen = teachers_of([{"a", "b", "c"}] * 30, "round_robin", ["b", "c", "a"])
    assert chosen[:4] == ["b", "c", "a", "b"]
    assert Counter(chosen) == {"a": 10, "b": 10, "c": 10}


def test_the_best_teacher_is_the_one_whose_verdicts_agree_most_often() -> None:
    assert best_first({"a": (5, 10), "b": (9, 10), "c": (2, 2), "d": (0, 0), "e": (9, 10)}) == ["c", "b", "e", "a", "d"]
