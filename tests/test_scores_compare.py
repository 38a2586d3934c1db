"""Two runs compared: the tests by hand, what is refused, and which rows flipped."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped]  # it ships no types
from sklearn import metrics  # type: ignore[import-untyped]  # it ships no types

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.scores.averages import AVERAGES
from safety_reasoning.eval.scores.comparable import Ground, differences, refuse_unless_forced
from safety_reasoning.eval.scores.compare import averaged, compare, mcnemar, p_of
from safety_reasoning.eval.scores.corrections import benjamini_hochberg, holm
from safety_reasoning.eval.scores.flips import flipped, write_flips
from safety_reasoning.eval.scores.policy import Policy
from tests.guard_runs import answers, frame, row, run_stated, unparsed


def right_and_wrong(a_right: int, b_right: int, both: int = 10, **changes: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two runs on positive items that both are right about, and on which only one is."""
    last = both + a_right + b_right
    a = frame(row(n, predicted=n < both + a_right, **changes) for n in range(last))
    b = frame(row(n, predicted=n < both or n >= both + a_right, **changes) for n in range(last))
    return a, b


@pytest.mark.parametrize(
    ("a_right", "b_right", "p"),
    [
        pytest.param(0, 0, 1.0, id="never differ"),
        pytest.param(5, 5, 1.0, id="even"),
        pytest.param(2, 10, 2 * (1 + 12 + 66) / 2**12, id="by the binomial of 12"),
        pytest.param(0, 6, 2 / 2**6, id="all for B"),
    ],
)
def test_mcnemar_is_exact(a_right: int, b_right: int, p: float) -> None:
    a, b = right_and_wrong(a_right, b_right)
    (found,) = compare(a, b, draws=0)
    assert (found.a_better, found.b_better) == (a_right, b_right)
    assert found.mcnemar.p == pytest.approx(p)
    assert mcnemar(b_right, a_right) == pytest.approx(p)


def test_an_item_counts_once_for_mcnemar_however_often_it_was_asked() -> None:
    a = frame(row(0, generation=g, predicted=g == 0) for g in range(4))
    b = frame(row(0, generation=g, predicted=g < 3) for g in range(4))
    (found,) = compare(a, b, draws=0)
    assert (found.a_better, found.b_better, found.rows) == (0, 1, 4)


def test_holm_is_that_of_its_authors_example() -> None:
    """Four p values, each times the number of those not below it, and never falling."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == benjamini_hochberg([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_corrections_keep_their_order_and_holm_is_the_stricter(p_values: list[float]) -> None:
    strict, mild = holm(p_values), benjamini_hochberg(p_values)
    for raw, one, other in zip(p_values, strict, mild, strict=True):
        assert raw <= other + 1e-12
        assert other <= one + 1e-12 <= 1 + 1e-9
    assert np.argsort(p_values, kind="stable").tolist() == np.lexsort((range(len(p_values)), p_values)).tolist()
    smallest = int(np.argmin(p_values))
    assert strict[smallest] == pytest.approx(min(1, p_values[smallest] * len(p_values)))  # Bonferroni's


def test_each_test_is_corrected_for_the_tasks_that_were_compared() -> None:
    pairs = [right_and_wrong(1, 4 + n, task=task) for n, task in enumerate(AVERAGES["resp4"])]
    found = compare(pl.concat([a for a, _ in pairs]), pl.concat([b for _, b in pairs]), draws=200)
    assert [one.task for one in found] == sorted(AVERAGES["resp4"])
    raw = [one.mcnemar.p or 0.0 for one in found]
    assert [one.mcnemar.holm for one in found] == pytest.approx(holm(raw))
    expected = stats.false_discovery_control(raw)
    assert [one.mcnemar.benjamini_hochberg for one in found] == pytest.approx(list(expected))
    assert averaged(found)["resp4"].value == pytest.approx(np.mean([one.difference.value or 0.0 for one in found]))


def test_the_difference_is_of_the_same_draws_in_both_runs() -> None:
    """Runs that err on the same items differ by nothing in every draw, however wide the intervals of each are."""
    rows = frame(answers(items=30, generations=1))
    (found,) = compare(rows, rows)
    interval = found.difference.interval
    assert interval is not None
    assert (found.difference.value, interval.low, interval.high) == (0.0, 0.0, 0.0)
    assert (found.f1.p, found.mcnemar.p) == (1.0, 1.0)


def test_the_paired_bootstrap_is_scipys_with_scikit_learns_f1() -> None:
    a, b = (frame(answers(items=60, generations=1, right=right, seed=s, unread=0)) for s, right in ((0, 0.7), (1, 0.9)))
    gold, first, second = a["positive"].to_numpy(), a["predicted"].to_numpy(), b["predicted"].to_numpy()

    def difference(drawn: Any) -> float:
        places = drawn.astype(int)
        f1 = (metrics.f1_score(gold[places], said[places]) for said in (second, first))
        return float(next(f1) - next(f1))

    theirs = stats.bootstrap(
        (np.arange(60),), difference, n_resamples=150, vectorized=False, method="percentile", rng=0
    )
    (found,) = compare(a, b, draws=3000)
    interval = found.difference.interval
    assert interval is not None
    ends = theirs.confidence_interval
    assert (interval.low, interval.high) == pytest.approx((ends.low, ends.high), abs=0.04)
    assert found.difference.value == pytest.approx(difference(np.arange(60)))


@pytest.mark.parametrize(
    ("draws", "p"),
    [
        pytest.param([0.1] * 97 + [-0.1] * 2, 2 * 3 / 100, id="two of 99 on the other side"),
        pytest.param([-0.1] * 99, 2 * 1 / 100, id="never below 2 / (draws + 1)"),
        pytest.param([0.1] * 50 + [-0.1] * 49, 1.0, id="even"),
        pytest.param([0.0] * 99, 1.0, id="no difference"),
        pytest.param([0.1] * 97 + [-0.1] * 2 + [np.nan] * 50, 2 * 3 / 100, id="undefined draws do not count"),
        pytest.param([np.nan] * 9, None, id="all undefined"),
    ],
)
def test_p_is_twice_the_smaller_share_of_draws_on_one_side_of_nought(draws: list[float], p: float | None) -> None:
    assert p_of(np.array(draws)) == (None if p is None else pytest.approx(p))


def test_b_against_a_is_a_against_b_turned_round() -> None:
    a, b = (frame(answers(items=40, right=right, seed=seed)) for seed, right in ((0, 0.7), (1, 0.9)))
    (one,), (other,) = compare(a, b), compare(b, a)
    assert one.difference.value == pytest.approx(-(other.difference.value or 0.0))
    assert (one.a_better, one.b_better) == (other.b_better, other.a_better)
    assert (one.f1.p, one.mcnemar.p) == pytest.approx((other.f1.p, other.mcnemar.p))


def test_rows_of_one_run_alone_are_named_and_not_compared() -> None:
    a, b = frame([row("a"), row("b"), row("b", generation=1)]), frame([row("b"), row("c")])
    (found,) = compare(a, b)
    assert (found.rows, found.only_a, found.only_b) == (1, ("a/0", "b/1"), ("c/0",))


def test_an_item_with_another_label_is_another_row() -> None:
    (found,) = compare(frame([row("a")]), frame([row("a", positive=False)]))
    assert (found.rows, found.only_a, found.only_b) == (0, ("a/0",), ("a/0",))
    assert found.difference.why == "no row is in both runs"
    assert (found.f1.p, found.mcnemar.p) == (None, None)


def test_a_task_of_one_run_alone_is_there_and_not_compared() -> None:
    found = compare(frame([row()]), frame([row(task="toxicchat")]))
    assert [(one.task, one.rows, one.difference.value) for one in found] == [
        ("aegis2_prompt", 0, None),
        ("toxicchat", 0, None),
    ]


def test_where_one_run_cannot_be_read_nothing_is_compared() -> None:
    a = frame(row(n) for n in range(5))
    (found,) = compare(a, frame(unparsed(n) for n in range(5)))
    assert (found.difference.value, found.f1.p) == (None, None)
    assert found.difference.why == "B: none of 5 answers could be read"


def test_a_dropped_row_is_right_in_neither_run() -> None:
    a, b = frame([row(0), row(1)]), frame([unparsed(0), row(1, predicted=False)])
    (dropped,), (wrong,) = (compare(a, b, policy=policy, draws=0) for policy in (Policy.DROP, Policy.WRONG))
    assert (dropped.a_better, wrong.a_better) == (1, 2)


STATED = run_stated(frame([row()]))


def changed(**changes: Any) -> dict[str, Any]:
    return STATED | {"tasks": [STATED["tasks"][0] | changes]}


@pytest.mark.parametrize(
    ("ground", "other"),
    [
        pytest.param(Ground.DATA, changed(revision="1" * 40, sha256="1" * 64), id="revision"),
        pytest.param(Ground.DATA, changed(sha256="1" * 64), id="file"),
        pytest.param(Ground.DATA, changed(positives=0), id="counts"),
        pytest.param(Ground.LABELS, changed(preset="human_annotated"), id="preset"),
        pytest.param(Ground.LABELS, changed(label_rule="toxicity == 1"), id="label rule"),
        pytest.param(Ground.POLICY, STATED | {"settings": {"mode": "loose"}}, id="strictness"),
        pytest.param(Ground.POLICY, STATED | {"parse_policy": "drop"}, id="parse policy"),
        pytest.param(Ground.PROMPT, STATED | {"prompt_sha256": "1" * 64}, id="prompt"),
        pytest.param(Ground.SAMPLING, STATED | {"sampling": {"preset": "deploy", "temperature": 0.0}}, id="sampling"),
        pytest.param(Ground.SAMPLING, STATED | {"generations": 4}, id="generations"),
    ],
)
def test_runs_that_differ_in_this_are_compared_only_by_force(ground: Ground, other: dict[str, Any]) -> None:
    found = differences(STATED, other, {"aegis2_prompt"})
    assert {one.ground for one in found} == {ground}
    with pytest.raises(UsageError) as refused:
        refuse_unless_forced(found, [one for one in Ground if one != ground])
    assert f"--force {ground.value}" in refused.value.fix
    assert all(one.field in refused.value.why for one in found)
    refuse_unless_forced(found, [ground])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(
            STATED | {"adapter": "a", "model": "b", "seed": 7, "settings": {"mode": "on"}},
            id="the guard itself",
        ),
        pytest.param(changed(licence="mit", citation="Somebody else"), id="what shapes no number"),
        pytest.param(changed(source="local file", revision=None), id="the same file from elsewhere"),
    ],
)
def test_runs_that_differ_in_nothing_else_are_compared(other: dict[str, Any]) -> None:
    assert differences(STATED, other, {"aegis2_prompt"}) == ()


def test_a_task_that_only_one_run_has_is_no_difference() -> None:
    assert differences(STATED, STATED | {"tasks": []}, set()) == ()


def test_what_a_run_states_cannot_write_to_the_terminal() -> None:
    (found,) = differences(STATED, STATED | {"prompt_sha256": "\x1b[31m\u202e" + "x" * 1000}, {"aegis2_prompt"})
    assert "\x1b" not in str(found)
    assert "\u202e" not in str(found)
    assert len(str(found)) < 400


def test_flipped_rows_have_both_traces_and_say_who_is_right() -> None:
    a = frame([row("1", reasoning="so"), row("2", predicted=False), row("3"), row("4"), unparsed("5", predicted=None)])
    b = frame([row("1", predicted=False, reasoning="no"), row("2"), row("3"), unparsed("4"), row("5", predicted=False)])
    found = flipped(a, b)
    assert found.select("item", "flip").rows() == [
        ("1", "a_right"),
        ("2", "b_right"),
        ("4", "a_right"),
        ("5", "neither"),
    ]
    assert found.select("a_reasoning", "b_reasoning", "a_parse", "b_predicted").row(0) == ("so", "no", "ok", False)


@pytest.mark.parametrize("name", ["flips.parquet", "flips.jsonl"])
def test_flipped_rows_are_written_as_they_are(tmp_path: Path, name: str) -> None:
    hostile = "{{ 7*7 }} </think> \x1b[31m \u202e <script>"
    rows = flipped(frame([row(reasoning=hostile)]), frame([row(predicted=False)]))
    write_flips(tmp_path / "new" / name, rows)
    path = tmp_path / "new" / name
    back = pl.read_parquet(path) if name.endswith("parquet") else pl.read_ndjson(path)
    assert back["a_reasoning"].to_list() == [hostile]


def test_flipped_rows_are_not_written_as_anything_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither"):
        write_flips(tmp_path / "flips.csv", flipped(frame([row()]), frame([row()])))
