"""What the marks say of reviewers, filters and judge, against numbers worked out by hand; the verbs that show it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.builders.recipe import Recipe, load_recipe
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import view_store
from safety_reasoning.review.agreement_marks import Score, human_precision, marked, vote
from safety_reasoning.review.export import write_marks
from safety_reasoning.review.marks import Findings, Mark
from safety_reasoning.review.sample import Drawn, Stratum
from tests.conftest import Run
from tests.reviews import (
    GOOD,
    LEAKS,
    agreed,
    drawn,
    fill,
    mark_of,
    opinion,
    review_recipe,
    save_marks,
    teacher_says,
)

LEAK = "label_leak"
MARK = Mark(
    reviewer="Anna",
    key="ab" * 16,
    sample_key="cd" * 16,
    modes=(),
    marked_at=0.0,
    findings=Findings.LATER,
    stratum=Stratum(teacher="a", step="full", reason="kept", verdict="agrees"),
    size=1,
    drawn=1,
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return review_recipe(tmp_path, 40, judge=True)


def says(call: Call) -> tuple[str | None, str]:
    """Prompts 0, 4, 8 … leak. The judge finds leaks in all of these, makes one up in good ones, and sometimes fails."""
    if call.step is not Step.JUDGE:
        return teacher_says(call)
    leaks, place = "ground truth" in call.variables["reasoning"], int(call.sample_key[:4], 16) % 4
    if place == 0:
        return "", "I cannot say."
    return "", opinion(**({"label_leak": "seen"} if leaks or place == 1 else {}))


def full(recipe: Recipe, **choice: Any) -> list[Drawn]:
    return drawn(recipe, steps=frozenset({"full"}), **choice)


def by_mode(scores: tuple[Score, ...], finder: str) -> dict[str, Score]:
    return {score.mode: score for score in scores if score.finder == finder}


def test_filters_are_held_against_what_most_reviewers_marked(recipe: Path) -> None:
    loaded = fill(recipe, teacher_says)
    leaks, good = (full(loaded, count=3, reasons=frozenset({reason})) for reason in (LEAK, "kept"))
    save_marks(
        loaded,
        [
            *(mark_of(leaks[0], name, LEAK) for name in ("Anna", "Ben", "Cleo")),  # a hit
            *(mark_of(leaks[1], name) for name in ("Anna", "Ben")),  # a false alarm, two to one
            mark_of(leaks[1], "Cleo", LEAK),
            mark_of(leaks[2], "Anna", LEAK, "other"),  # a tie on the leak
            mark_of(leaks[2], "Ben", "other"),
            mark_of(good[0], "Anna"),  # a pass
            mark_of(good[1], "Anna", LEAK),  # a miss
            mark_of(good[2], "Cleo", "truncated"),  # a miss of another filter
        ],
    )
    found = agreed(loaded)
    assert (found.traces, dict(found.reviewers)) == (6, {"Anna": 5, "Ben": 3, "Cleo": 3})
    filters = by_mode(found.scores, "filter")
    assert list(filters) == ["any", LEAK, "truncated"]  # no filter looks for what is other
    leak = filters[LEAK]
    assert (leak.read.hits, leak.read.false_alarms, leak.read.misses, leak.read.passes, leak.ties) == (1, 1, 1, 2, 1)
    assert (leak.read.precision, leak.read.recall) == (1 / 2, 1 / 2)
    # Each of 3 leaks that were read stands for 10 / 3, each of 3 good ones for 30 / 3.
    assert leak.weighted.precision == pytest.approx(1 / 2)
    assert leak.weighted.recall == pytest.approx((10 / 3) / (10 / 3 + 10))
    anything = filters["any"]
    assert (anything.read.hits, anything.read.false_alarms, anything.read.misses, anything.ties) == (2, 1, 2, 0)
    assert (filters["truncated"].read.precision, filters["truncated"].read.recall) == (None, 0)


def test_weights_give_the_truth_about_all_traces_whatever_was_read(recipe: Path) -> None:
    """Everybody who reads marks the leaks that are there: 10 of 40; the filter is right in all, and so say the weights
    though half of what was read are leaks."""
    loaded = fill(recipe, teacher_says)
    sample = full(loaded, count=12)
    marks = [mark_of(one, "Anna", *([LEAK] if one.stratum.reason == LEAK else [])) for one in sample]
    save_marks(loaded, marks)
    leak = by_mode(agreed(loaded).scores, "filter")[LEAK]
    assert (leak.read.hits, leak.read.passes) == (6, 6)
    assert leak.weighted.hits == pytest.approx(10)
    assert leak.weighted.passes == pytest.approx(30)


def test_the_judge_is_held_against_the_marks_and_what_it_could_not_judge_stands_apart(recipe: Path) -> None:
    loaded = fill(recipe, says)
    sample = full(loaded, count=40)
    truth = {one.key: str(one.tried.sifted.trace) == LEAKS for one in sample}
    save_marks(loaded, [mark_of(one, "Anna", *([LEAK] if truth[one.key] else ["unfounded"])) for one in sample])
    judge = by_mode(agreed(loaded).scores, "judge")
    assert list(judge) == ["any", LEAK, "unfounded"]
    places = [(int(one.tried.sample.key[:4], 16) % 4, truth[one.key]) for one in sample]
    expected = (
        sum(place != 0 and leaks for place, leaks in places),
        sum(place == 1 and not leaks for place, leaks in places),
        0,
        sum(place == 0 for place, _ in places),
    )
    assert all(count or number == 2 for number, count in enumerate(expected))
    read = judge[LEAK].read
    assert (read.hits, read.false_alarms, read.misses, read.unjudged) == expected
    assert judge["unfounded"].read.recall == 0


def test_the_judge_is_scored_only_on_what_it_was_asked_about(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8").replace('ask = "all"', 'ask = "kept"')
    recipe.write_text(text, encoding="utf-8")
    loaded = fill(recipe, teacher_says)
    sample = full(loaded, count=8)
    save_marks(loaded, [mark_of(one, "Anna", LEAK) for one in sample])
    scores = agreed(loaded).scores
    assert by_mode(scores, "filter")[LEAK].read.hits == 4
    assert (by_mode(scores, "judge")[LEAK].read.misses, by_mode(scores, "judge")[LEAK].read.unjudged) == (4, 0)


def test_a_filter_that_is_off_is_not_scored_and_a_new_threshold_changes_the_score(recipe: Path) -> None:
    loaded = fill(recipe, teacher_says)
    save_marks(loaded, [mark_of(one, "Anna", LEAK) for one in full(loaded, count=4)])
    assert LEAK in by_mode(agreed(loaded).scores, "filter")
    recipe.write_text(recipe.read_text().replace("[filters]", '[filters]\noff = ["label_leak"]'), encoding="utf-8")
    scores = agreed(load_recipe(recipe)).scores
    assert LEAK not in by_mode(scores, "filter")
    assert by_mode(scores, "filter")["any"].read.recall == 0


def test_marks_on_what_the_recipe_does_not_come_to_are_counted_and_still_compared(recipe: Path) -> None:
    loaded = fill(recipe, teacher_says)
    one, other = full(loaded, count=2)
    gone = dataclasses.replace(mark_of(one, "Anna", LEAK), key="ab" * 16)
    save_marks(loaded, [gone, dataclasses.replace(gone, reviewer="Ben"), mark_of(other, "Anna", LEAK)])
    found = agreed(loaded)
    assert (found.traces, found.unreached) == (2, 1)
    assert found.between[0].alpha.items == 1
    assert by_mode(found.scores, "filter")["any"].read.hits + by_mode(found.scores, "filter")["any"].read.misses == 1


def test_votes() -> None:
    def votes(*given: tuple[str, ...]) -> bool | None:
        return vote([dataclasses.replace(MARK, modes=modes) for modes in given], LEAK)

    assert votes((LEAK,)) is True
    assert votes((LEAK,), ()) is None
    assert votes((LEAK,), (), ("other",)) is False
    assert votes((LEAK,), (LEAK, "other"), ()) is True


def test_without_marks_there_is_nothing_to_say(recipe: Path, run: Run) -> None:
    loaded = fill(recipe, teacher_says)
    with view_store(Path(loaded.release.store)) as store:
        assert human_precision(loaded, load_sources(loaded.sources).samples, store) == ()
    done = run("review-agreement", recipe)
    assert (done.returncode, "no trace is marked yet" in done.stdout) == (0, True)
    done = run("review-export", recipe, recipe.parent / "marks.parquet")
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "0 marks on 0 traces")


def test_the_verbs_show_and_export_what_was_marked(recipe: Path, run: Run) -> None:
    loaded = fill(recipe, says)
    sample = full(loaded, count=8)
    save_marks(
        loaded,
        [
            *(mark_of(one, "Ben", *([LEAK] if one.stratum.reason == LEAK else [])) for one in sample),
            *(mark_of(one, "Anna", LEAK, note="why \u202e <b>") for one in sample[:6]),
            mark_of(sample[0], "Anna", findings=Findings.SEEN, marked_at=1e9 + 0.25),
        ],
    )
    done = run("review-agreement", recipe)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("8 traces are marked: Anna 6, Ben 8\n1 marks were made with")
    document = json.loads(run("review-agreement", recipe, "--json").stdout)
    leak = next(one for one in document["between_reviewers"] if one["mode"] == LEAK)
    kappa = next(one for one in agreed(loaded).between if one.mode == LEAK).kappas["Anna", "Ben"]
    assert leak["pairs"] == [{"reviewers": ["Anna", "Ben"], "kappa": kappa.value, "traces": 6, "agreed": kappa.agreed}]
    assert f"{LEAK}  Anna, Ben  Cohen's kappa         {kappa.value:.2f}" in done.stdout
    scores = {(one["finder"], one["mode"]): one for one in document["against_the_marks"]}
    assert scores["filter", LEAK]["read"]["precision"] == by_mode(agreed(loaded).scores, "filter")[LEAK].read.precision

    out = recipe.parent / "out" / "marks.parquet"
    done = run("review-export", recipe, out)
    assert (done.returncode, done.stdout) == (0, f"14 marks on 8 traces, in {out}\n")
    rows = pq.read_table(out).to_pylist()
    assert [(row["reviewer"], row["key"]) for row in rows] == sorted(
        [("Anna", one.key) for one in sample[:6]] + [("Ben", one.key) for one in sample]
    )
    row = next(row for row in rows if (row["reviewer"], row["key"]) == ("Anna", sample[0].key))
    assert row["modes"] == []
    assert row["marked_at"].timestamp() == 1e9 + 0.25
    assert (row["findings"], row["teacher"], row["step"], row["attempt"]) == ("seen", "a", "full", 0)
    assert (row["stratum_reason"], row["stratum_size"]) == (sample[0].stratum.reason, sample[0].size)
    noted = next(row for row in rows if (row["reviewer"], row["key"]) == ("Anna", sample[1].key))
    assert (noted["modes"], noted["note"]) == ([LEAK], "why \u202e <b>")
    opinion_of = sample[1].tried.sifted.opinion
    assert opinion_of is not None
    assert noted["judge_modes"] == (None if opinion_of.found is None else sorted(opinion_of.found))
    assert noted["judge_fault"] == (opinion_of.fault or None)
    done = run("review-export", recipe, out.parent)
    assert (done.returncode, "it is a folder" in done.stderr) == (2, True)
    first = out.read_bytes()
    with view_store(Path(loaded.release.store)) as store:
        write_marks(out, marked(loaded, load_sources(loaded.sources).samples, store))
    assert out.read_bytes() == first


def test_the_sample_holds_what_the_tests_say(recipe: Path) -> None:
    loaded = fill(recipe, says)
    kinds = {(str(one.tried.sifted.trace), one.stratum.reason) for one in full(loaded, count=40)}
    assert kinds >= {(LEAKS, LEAK), (GOOD, "kept"), (GOOD, "judge_label_leak"), (GOOD, "not_judged")}
