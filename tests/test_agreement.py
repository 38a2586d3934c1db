"""Agreement of labellers, and of a prediction with marks, against numbers worked out by hand or printed elsewhere."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.review.agreement import against, cohen_kappa, krippendorff_alpha

N = None
BOOLS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30)


@pytest.mark.parametrize(
    ("first", "second", "value", "agreed"),
    [
        # Cohen (1960) as every textbook has it: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: (0.7 - 0.5) / (1 - 0.5)
        pytest.param("y" * 25 + "n" * 25, "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15, 0.4, 35, id="two labels"),
        # agreement 2/4; chance: a 1/2*1/4 + b 1/4*1/2 + c 1/4*1/4 = 5/16; (8/16 - 5/16) / (11/16)
        pytest.param("aabc", "abbc", (3 / 4 - 5 / 16) / (11 / 16), 3, id="three labels"),
        pytest.param("ab", "ba", -1.0, 0, id="never alike"),
        pytest.param("ab", "ab", 1.0, 2, id="always alike"),
        pytest.param("aa", "aa", None, 2, id="one label throughout"),
        pytest.param("", "", None, 0, id="nothing in common"),
    ],
)
def test_cohen_kappa(first: str, second: str, value: float | None, agreed: int) -> None:
    kappa = cohen_kappa(first, second)
    assert kappa.value == (None if value is None else pytest.approx(value))
    assert (kappa.items, kappa.agreed) == (len(first), agreed)


@pytest.mark.parametrize(
    ("labellers", "value", "items", "labels"),
    [
        # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section A: two observers, binary, 0.095
        pytest.param(
            [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]], 1 - 19 * 8 / (2 * 6 * 14), 10, 20, id="A"
        ),
        # section C: four observers, five categories, missing labels: 0.743
        pytest.param(
            [
                [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
                [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
                [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
                [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
            ],
            0.743421,
            11,
            40,
            id="C",
        ),
        pytest.param([[True, True], [True, True]], None, 2, 4, id="one label throughout"),
        pytest.param([[True, N], [N, False]], None, 0, 0, id="nothing in common"),
        pytest.param([[True, False, True]], None, 0, 0, id="one labeller"),
        pytest.param([], None, 0, 0, id="nobody"),
    ],
)
def test_krippendorff_alpha(labellers: list[list[int | None]], value: float | None, items: int, labels: int) -> None:
    alpha = krippendorff_alpha(labellers)
    assert alpha.value == (None if value is None else pytest.approx(value, abs=1e-6))
    assert (alpha.items, alpha.labels) == (items, labels)


def test_a_prediction_against_the_marks() -> None:
    predicted = [True, True, False, False, N, N, True]
    marked = [True, False, True, False, True, False, True]
    found = against(predicted, marked)
    assert (found.hits, found.false_alarms, found.misses, found.passes, found.unjudged) == (2, 1, 1, 1, 2)
    assert (found.precision, found.recall) == (2 / 3, 2 / 3)
    weighted = against(predicted, marked, [1, 2, 3, 4, 5, 6, 7])
    assert (weighted.precision, weighted.recall) == (8 / 10, 8 / 11)
    assert weighted.unjudged == 11


@pytest.mark.parametrize(("predicted", "marked"), [([], []), ([False], [False]), ([N], [True])], ids=str)
def test_a_rate_of_nothing_is_none(predicted: list[bool | None], marked: list[bool]) -> None:
    found = against(predicted, marked)
    assert (found.precision, found.recall) == (None, None)


@given(BOOLS)
def test_kappa_and_alpha_do_not_mind_the_order_of_labellers_and_stay_within_bounds(
    pairs: list[tuple[bool, bool]],
) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    assert cohen_kappa(first, second) == cohen_kappa(second, first)
    kappa, alpha = cohen_kappa(first, second).value, krippendorff_alpha([first, second]).value
    assert kappa is None or -1 <= kappa <= 1
    assert alpha is None or -1 <= alpha <= 1
    found = against(first, second)
    assert found.hits + found.false_alarms + found.misses + found.passes == len(pairs)


@pytest.mark.parametrize(
    ("package", "call"),
    [("sklearn", "cohen_kappa('ab', 'ab')"), ("krippendorff", "krippendorff_alpha(['ab', 'ab'])")],
)
def test_a_missing_package_is_told_with_its_extra(package: str, call: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\nfrom safety_reasoning.review.agreement import *\n{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "UsageError" in done.stderr
    assert "[review]" in done.stderr
