"""Benchmarks over the real rows in the folder that SAFETY_REASONING_DATA names."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from safety_reasoning.benchmark_verbs import app
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.declaration import load_declaration
from safety_reasoning.eval.benchmarks.load import load_task
from tests.conftest import ROOT
from tests.test_docs import blocks

FOLDER = Path(os.environ.get("SAFETY_REASONING_DATA", ""))
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not FOLDER.name, reason="SAFETY_REASONING_DATA names no folder"),
]
MODERATION = FOLDER / "benchmarks" / "openai_moderation_samples.jsonl"
DIALOGUES = FOLDER / "canttalkaboutthis" / "canttalkaboutthis_topic_control_mixtral.jsonl"


def test_xstest_has_the_declared_counts_and_is_the_pinned_file() -> None:
    task = load_task("xstest_overrefusal", place=FOLDER / "benchmarks")
    assert (len(task.items), sum(item.positive for item in task.items), task.left_out) == (450, 200, {})
    assert task.stated["sha256"] == "11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a"
    assert len(load_task("xstest_overrefusal", place=FOLDER / "benchmarks", preset="safe").items) == 250


def test_the_page_shows_what_the_verb_prints() -> None:
    command, *shown, cut = blocks("console", (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"))[
        0
    ].splitlines()
    assert (command.split()[1:4], cut.strip()) == (["safety-reasoning", "eval", "benchmarks"], "…")
    place = FOLDER / "benchmarks" / "xstest_prompts.csv"
    done = CliRunner().invoke(app, ["xstest_overrefusal", "--place", str(place)])
    assert done.stdout.splitlines()[: len(shown)] == shown


def test_a_file_that_lacks_an_area_is_refused_unless_it_is_taken_as_it_is() -> None:
    place = FOLDER / "benchmarks" / "simple_safety_tests.csv"
    with pytest.raises(UsageError, match="80 rows in the file, not 100"):
        load_task("simple_safety_tests", place=place)
    task = load_task("simple_safety_tests", place=place, counts="as they are")
    assert len(task.items) == 80 and all(item.positive for item in task.items)
    assert len({item.category for item in task.items}) == 4


def test_every_moderation_row_is_an_item_or_counted() -> None:
    rows = [json.loads(line) for line in MODERATION.read_text(encoding="utf-8").splitlines()]
    task = load_task("openai_moderation", place=MODERATION, counts="as they are")
    flags = load_declaration("openai_moderation").label.columns
    assert task.stated["counted"]["positives"] == sum(any(row.get(flag) == 1 for flag in flags) for row in rows)
    assert len(task.items) + sum(task.left_out.values()) == len(rows)
    known = load_task("openai_moderation", place=MODERATION, preset="known_only", counts="as they are")
    unsure = sum(len(row) < 9 and not any(row.get(flag) == 1 for flag in flags) for row in rows)
    assert known.left_out["no_label"] == unsure > 0


@pytest.mark.parametrize("task", ["aegis2_prompt", "aegis2_response"])
def test_every_aegis_row_is_an_item_or_counted(task: str) -> None:
    place = FOLDER / "aegis-2.0" / "train.json"
    rows = json.loads(place.read_text(encoding="utf-8"))
    for preset in load_declaration(task).presets:
        read = load_task(task, place=place, preset=preset, counts="as they are")
        assert len(read.items) + sum(read.left_out.values()) == len(rows)
        assert set(read.left_out) <= {"duplicate", "no_label", "redacted", "empty_response", "contradictory_labels"}


def test_every_user_turn_of_the_dialogues_is_an_item_or_counted() -> None:
    dialogues = [json.loads(line) for line in DIALOGUES.read_text(encoding="utf-8").splitlines()]
    ordinary = sum(turn["role"] == "user" for d in dialogues for turn in d["conversation"])
    distractors = sum(len(d["distractors"]) for d in dialogues)
    for preset in ("all", "balanced", "capped"):
        task = load_task("topic_control", place=DIALOGUES, preset=preset)
        assert len(task.items) + sum(task.left_out.values()) == ordinary + distractors
    assert {item.domain for item in task.items} == {"travel", "insurance", "real estate"}


@pytest.mark.parametrize("file", ["cosa_scenarios.json", "dynaguardrail_policies.json"])
def test_a_file_of_policies_is_no_benchmark(file: str) -> None:
    with pytest.raises(UsageError, match="the file does not start with"):
        load_task("cosapien_film_production", place=FOLDER / "benchmarks" / file, counts="as they are")


def test_the_policies_are_the_published_ones() -> None:
    published = json.loads((FOLDER / "benchmarks" / "dynaguardrail_policies.json").read_text(encoding="utf-8"))
    for part, text in published["policies"].items():
        policy = load_declaration(f"dynaguardrail_{part}").policy
        assert policy is not None and policy.text == text
