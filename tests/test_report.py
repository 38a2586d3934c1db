"""The report's counts of attempts, held against what the script of the teachers says must be in them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.calls import Status, Step
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import view_store
from safety_reasoning.review.report import Report
from tests.changed_teacher import changed, stopped
from tests.conftest import build_here
from tests.reports import GOOD, Made, made, one, recipe, reported, rows, scripted

__all__ = ["made"]  # the fixture

# kept and dropped


def test_a_finished_store_is_said_to_be_finished(made: Made) -> None:
    _, report, _ = made
    assert (report.samples, report.chains, report.unfinished) == (19, 38, 0)
    assert rows(report, "progress") == [
        {"teacher": name, "samples": 19, "finished": 19, "begun": 0, "not_begun": 0} for name in "ab"
    ]


@pytest.mark.parametrize("teacher", ["a", "b"])
def test_traces_are_counted_as_asked_for_kept_and_released(made: Made, teacher: str) -> None:
    full = one(made[1], "summary", teacher=teacher, step="full")
    assert (full["asked"], full["attempts"], full["kept"], full["released"]) == (19, 37, 13, 9)
    assert full["kept_share"] == round(13 / 19, 4)
    efficient = one(made[1], "summary", teacher=teacher, step="efficient")
    assert (efficient["asked"], efficient["attempts"], efficient["kept"], efficient["released"]) == (13, 15, 13, 9)


def test_what_is_released_is_what_the_release_holds(made: Made) -> None:
    _, report, manifest = made
    for teacher in "ab":
        stated = [config["statistics"]["teachers"][teacher] for config in manifest["configs"].values()]
        for step in ("full", "efficient"):
            released = one(report, "summary", teacher=teacher, step=step)["released"]
            assert released == sum(of[f"{step}_words"]["traces"] for of in stated)


def test_every_reason_of_a_trace_counts_and_the_first_and_the_last_ones_apart(made: Made) -> None:
    found = {(r["reason"], r["by"]): (r["all"], r["first"], r["final"]) for r in rows(made[1], "dropped")}
    assert found == {
        ("label_leak", "filter"): (32, 32, 8),
        ("judge_label_leak", "judge"): (32, 0, 0),
        ("truncated", "reply"): (8, 8, 0),
        ("judge_overthinking", "judge"): (6, 6, 2),
        ("over_budget", "filter"): (4, 4, 0),
        ("not_judged", "judge"): (2, 2, 2),
    }
    assert list(found)[:2] == [("judge_label_leak", "judge"), ("label_leak", "filter")]  # most frequent first, by name
    assert one(made[1], "dropped", reason="truncated")["share"] == round(8 / 104, 4)


def test_what_is_dropped_in_the_end_is_what_the_manifest_says(made: Made) -> None:
    _, report, manifest = made
    stated = {(item["teacher"], item["step"], item["reason"]): item["traces"] for item in manifest["dropped_traces"]}
    found: Counter[tuple[str, str, str]] = Counter()
    for line in rows(report, "dropped_in_full"):
        found[line["teacher"], line["step"], line["reason"]] += line["final"]
    assert +found == stated


def test_reasons_are_counted_by_teacher_step_and_attempt(made: Made) -> None:
    leaks = one(made[1], "dropped_in_full", reason="label_leak", teacher="a")
    assert [leaks[f"attempt_{n}"] for n in range(3)] == [8, 4, 4]
    late = one(made[1], "dropped_in_full", reason="over_budget", teacher="b")
    assert (late["step"], [late[f"attempt_{n}"] for n in range(3)]) == ("efficient", [2, 0, 0])


def test_the_yield_of_each_attempt(made: Made) -> None:
    found = [tuple(r.values())[2:] for r in rows(made[1], "yield", teacher="a", step="full")]
    assert found == [
        (0, 19, 5, round(5 / 19, 4), round(5 / 19, 4)),
        (1, 13, 8, round(8 / 13, 4), round(13 / 19, 4)),
        (2, 5, 0, 0.0, round(13 / 19, 4)),
    ]
    found = [tuple(r.values())[2:5] for r in rows(made[1], "yield", teacher="b", step="efficient")]
    assert found == [(0, 13, 11), (1, 2, 2)]


def test_what_asking_again_gives_by_what_was_wrong_before(made: Made) -> None:
    found = {(r["step"], r["reason"], r["attempt"]): (r["again"], r["kept"]) for r in after(made[1], "a")}
    assert found == {
        ("full", "judge_label_leak", 0): (8, 4),
        ("full", "judge_label_leak", 1): (4, 0),
        ("full", "judge_overthinking", 0): (1, 0),
        ("full", "judge_overthinking", 1): (1, 0),
        ("full", "label_leak", 0): (8, 4),
        ("full", "label_leak", 1): (4, 0),
        ("full", "truncated", 0): (4, 4),
        ("efficient", "over_budget", 0): (2, 2),
    }


def after(report: Report, teacher: str) -> list[dict[str, Any]]:
    return rows(report, "yield_after_reason", teacher=teacher)


def test_several_traces_of_a_sample_are_each_asked_for_and_one_is_released(tmp_path: Path) -> None:
    with changed(scripted) as live:
        path = recipe(tmp_path, live, teacher={"samples": 2})
        manifest = build_here(path)
    full = one(reported(path), "summary", teacher="a", step="full")
    assert (full["asked"], full["attempts"], full["kept"], full["released"]) == (38, 74, 26, 9)
    assert sum(config["records"] for config in manifest["configs"].values()) == 9


# lengths


def test_lengths_are_those_of_the_kept_traces(made: Made) -> None:
    line = one(made[1], "lengths", teacher="a", step="full", unit="words")
    words = len(GOOD.split())
    assert (line["traces"], line["mean"], line["p5"], line["median"], line["max"]) == (13, words, words, words, words)
    with view_store(made[0].parent / "store.sqlite") as store:
        tokens = sorted(
            reply.completion_tokens
            for reply in store
            if (reply.teacher, reply.step, reply.status) == ("b", Step.EFFICIENT_1, Status.OK)
            and "Nobody minds" not in reply.answer
        )
    line = one(made[1], "lengths", teacher="b", step="efficient", unit="tokens")
    assert (line["traces"], line["median"], line["max"]) == (13, tokens[6], tokens[-1])
    assert line["mean"] == round(sum(tokens) / 13, 4)


# examples


def test_examples_are_drawn_by_hash_and_not_by_order(made: Made) -> None:
    _, report, _ = made
    assert {reason: len(examples) for reason, examples in report.examples.items()} == {
        "judge_label_leak": 5,
        "judge_overthinking": 5,
        "label_leak": 5,
        "not_judged": 2,
        "over_budget": 4,
        "truncated": 5,
    }
    assert report.attempts["label_leak"] == 32
    (example, *_) = report.examples["judge_label_leak"]
    assert example.words.head == "ground truth"
    assert all("no_json: It looks fine." in example.words.head for example in report.examples["not_judged"])
    first = sorted(example.key for example in report.examples["label_leak"])
    assert first != sorted(all_keys(made[0]))[:5]


def all_keys(path: Path) -> list[str]:
    with view_store(path.parent / "store.sqlite") as store:
        return [reply.key for reply in store if "ground truth label" in (reply.reasoning or "")]


# a store that is not finished


@pytest.mark.parametrize("calls", [1, 30, 100])
def test_a_store_that_is_not_finished_is_reported_with_what_it_lacks(tmp_path: Path, calls: int) -> None:
    with changed(scripted) as live:
        path = recipe(tmp_path, live)
        path.write_text(f"{path.read_text(encoding='utf-8')}\n[budget]\ncalls = {calls}\n", encoding="utf-8")
        stopped(path)
    report = reported(path)
    begun, ended = followed(path)
    assert report.unfinished == 38 - ended.total() > 0
    for line in rows(report, "progress"):
        name = line["teacher"]
        assert line["finished"] == ended[name]
        assert line["finished"] + line["begun"] == begun[name]
        assert line["not_begun"] == 19 - begun[name]
    assert sum(line["attempts"] for line in rows(report, "summary")) <= calls


def followed(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Chains with a reply and chains at their end, by teacher."""
    loaded = load_recipe(path)
    begun: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    with view_store(path.parent / "store.sqlite") as store:
        for sample in load_sources(loaded.sources).samples:
            for teacher in loaded.teachers:
                paused = resume(sample, teacher, loaded, store)
                begun[teacher.name] += paused.passed.total() > 0
                ended[teacher.name] += paused.answers is not None
    return begun, ended
