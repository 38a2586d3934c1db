"""A record as a training conversation."""

import json
from dataclasses import replace

import pytest

from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.sources.aegis import to_sample
from safety_reasoning.builders.sources.canttalk import to_samples
from safety_reasoning.builders.sources.published import to_record
from safety_reasoning.builders.verdicts import mismatch
from safety_reasoning.schemas.columns import Task
from safety_reasoning.train.conversations import Mode, conversation, gold_answer
from tests.conftest import aegis_row, dialogue

TRACES = TeacherTraces(full="The {prompt} is about kitchen tools.", efficient="Kitchen tools.", mismatch=False)


def record(**changes: object) -> Record:
    return Record(sample=to_sample(aegis_row(**changes), {}), traces={"a": TRACES})


@pytest.mark.parametrize(("mode", "trace"), [("full", TRACES.full), ("efficient", TRACES.efficient)])
def test_the_completion_is_the_trace_and_the_gold_answer(mode: Mode, trace: str) -> None:
    made = conversation(record(prompt="What is {response}?", response="", response_label="unsafe"), "a", mode)
    assert made is not None
    assert made["completion"] == [
        {
            "role": "assistant",
            "content": f"<think>\n{trace}\n</think>\n\nPrompt harm: unharmful\n\nResponse harm: harmful",
        }
    ]
    assert "What is {response}?" in made["prompt"][0]["content"]


def test_a_non_reasoning_completion_is_the_answer_alone() -> None:
    made = conversation(record(), "a", "none")
    assert made is not None
    assert made["completion"][0]["content"] == "Prompt harm: unharmful\n\nResponse harm: None"
    assert "after thinking" not in made["prompt"][0]["content"]


@pytest.mark.parametrize("verdict", [True, None])
def test_a_trace_whose_verdict_is_not_the_label_trains_nobody(verdict: bool | None) -> None:
    doubtful = Record(sample=record().sample, traces={"a": replace(TRACES, mismatch=verdict)})
    assert conversation(doubtful, "a", "full") is None
    assert conversation(doubtful, "a", "none") is not None


def test_topic_turns_answer_with_the_bare_word() -> None:
    samples, _ = to_samples(dialogue())
    answers = {s.topic: conversation(Record(sample=s, traces={"a": TRACES}), "a", "none") for s in samples}
    assert {topic: made and made["completion"][0]["content"] for topic, made in answers.items()} == {
        "on-topic": "on-topic",
        "off-topic": "off-topic",
    }


def test_the_gold_answer_is_a_verdict_that_agrees_with_the_sample() -> None:
    topics, _ = to_samples(dialogue())
    for sample in (record(response="x", response_label="unsafe").sample, *topics):
        assert mismatch(sample, gold_answer(sample)) is False


def test_a_line_of_the_published_files_trains_a_guard() -> None:
    line = json.dumps(
        aegis_row()
        | {
            "safety_reasoning_qwen3_32b": "<think>It asks about knives for cooking.</think>",
            "efficient_reasoning_qwen3_32b": "A cooking question.",
            "prediction_gt_mismatch_qwen3_32b": False,
        }
    )
    made = conversation(to_record(json.loads(line), Task.CONTENT_SAFETY), "qwen3_32b", "full")
    assert made is not None
    assert made["completion"][0]["content"].startswith("<think>\nIt asks about knives for cooking.\n</think>")
