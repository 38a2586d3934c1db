"""A sample as a training conversation."""

import json

import pytest

from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sources.aegis import to_sample
from safety_reasoning.builders.sources.canttalk import to_samples
from safety_reasoning.builders.sources.published import to_record
from safety_reasoning.builders.verdicts import mismatch
from safety_reasoning.schemas.columns import Task
from safety_reasoning.train.conversations import Mark, conversation, gold_answer
from tests.conftest import aegis_row, dialogue

TRACE = "The {prompt} is about kitchen tools."
SUFFIX = Mark(place="suffix", on="/think", off="/no_think")
PREFIX = Mark(place="prefix", on="[reasoning]", off="[non-reasoning]")


def sample(**changes: object) -> Sample:
    return to_sample(aegis_row(**changes), {})


def asked(trace: str | None, **options: object) -> str:
    return conversation(sample(), trace, **options)["prompt"][0]["content"]  # type: ignore[arg-type]


def test_the_completion_is_the_trace_and_the_gold_answer() -> None:
    made = conversation(sample(prompt="What is {response}?", response="", response_label="unsafe"), TRACE)
    assert made["completion"] == [
        {
            "role": "assistant",
            "content": f"<think>\n{TRACE}\n</think>\n\nPrompt harm: unharmful\n\nResponse harm: harmful",
        }
    ]
    assert [message["role"] for message in made["prompt"]] == ["user"]
    assert "What is {response}?" in made["prompt"][0]["content"]


def test_a_non_reasoning_completion_is_the_answer_alone() -> None:
    made = conversation(sample(), None)
    assert made["completion"][0]["content"] == "Prompt harm: unharmful\n\nResponse harm: None"
    assert "after thinking" not in made["prompt"][0]["content"]


@pytest.mark.parametrize(
    ("mark", "trace", "head", "tail"),
    [
        (SUFFIX, TRACE, "You are a classifier", " as None. /think"),
        (SUFFIX, None, "You are a classifier", " as None. /no_think"),
        (PREFIX, TRACE, "[reasoning] You are a classifier", " as None."),
        (PREFIX, None, "[non-reasoning] You are a classifier", " as None."),
    ],
    ids=["suffix, reasoning", "suffix, not", "prefix, reasoning", "prefix, not"],
)
def test_a_mark_stands_where_it_should(mark: Mark, trace: str | None, head: str, tail: str) -> None:
    assert asked(trace, mark=mark).startswith(head)
    assert asked(trace, mark=mark).endswith(tail)


@pytest.mark.parametrize("mark", [SUFFIX, PREFIX, Mark(place="template", on="", off="")], ids=lambda mark: mark.place)
def test_the_mark_alone_tells_two_modes_apart(mark: Mark) -> None:
    plain = asked(TRACE)
    for trace, text in ((TRACE, mark.on), (None, mark.off)):
        assert asked(trace, mark=mark).removeprefix(f"{text} ").removesuffix(f" {text}") == plain


def test_a_policy_stands_in_place_of_the_taxonomy_as_it_is() -> None:
    policy = "Allowed: {prompt} and {{ 7 * 7 }}.\nForbidden: </think> %s"
    said = asked(None, policy=policy)
    assert f"may fall into.\n\n{policy}\n\nHuman user:\n\nHow do I sharpen" in said
    assert "S1: Violence" in asked(None)
    assert "S1: Violence" not in said


def test_a_policy_does_not_touch_a_topic_turn() -> None:
    turn = to_samples(dialogue())[0][0]
    assert conversation(turn, None, policy="x") == conversation(turn, None)


def test_topic_turns_answer_with_the_bare_word() -> None:
    samples, _ = to_samples(dialogue())
    answers = {s.topic: conversation(s, None)["completion"][0]["content"] for s in samples}
    assert answers == {"on-topic": "on-topic", "off-topic": "off-topic"}


def test_the_gold_answer_is_a_verdict_that_agrees_with_the_sample() -> None:
    topics, _ = to_samples(dialogue())
    for one in (sample(response="x", response_label="unsafe"), *topics):
        assert mismatch(one, gold_answer(one)) is False
        assert mismatch(one, conversation(one, TRACE)["completion"][0]["content"]) is False


def test_a_line_of_the_published_files_trains_a_guard() -> None:
    line = json.dumps(aegis_row() | {"safety_reasoning_qwen3_32b": "<think>It asks about knives for cooking.</think>"})
    record = to_record(json.loads(line), Task.CONTENT_SAFETY)
    made = conversation(record.sample, record.traces["qwen3_32b"].full)
    assert made["completion"][0]["content"].startswith("<think>\nIt asks about knives for cooking.\n</think>")
