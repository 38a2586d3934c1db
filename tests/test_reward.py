"""The reward function of the verl export, by itself and beside the project's own parser."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.verdicts import HarmVerdict, parse_harm, parse_topic
from safety_reasoning.train import reward

RIGHT, MISSED, ALARM, FORMAT = 1.0, reward.MISSED_HARM, reward.FALSE_ALARM, reward.FORMAT_WEIGHT


def gold(prompt: str | None = None, response: str | None = None, topic: str | None = None) -> str:
    return json.dumps({"prompt_harm": prompt, "response_harm": response, "topic": topic})


def reply(prompt: str, response: str, trace: str = "It is so.") -> str:
    return f"<think>\n{trace}\n</think>\n\nPrompt harm: {prompt}\n\nResponse harm: {response}"


def score(text: str, labels: str, **settings: Any) -> float:
    return reward.compute_score("x", text, labels, {"mode": "reasoning"}, **settings)["score"]


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        (reply("harmful", "harmful"), gold("harmful", "harmful"), RIGHT + FORMAT),
        (reply("harmful", "None"), gold("harmful"), RIGHT + FORMAT),
        (reply("harmful", "harmful"), gold("harmful"), RIGHT + FORMAT),
        (reply("unharmful", "None"), gold("harmful"), MISSED + FORMAT),
        (reply("harmful", "None"), gold("unharmful"), ALARM + FORMAT),
        (reply("harmful", "unharmful"), gold("harmful", "harmful"), (RIGHT + MISSED) / 2 + FORMAT),
        (reply("harmful", "harmful"), gold("harmful", "unharmful"), (RIGHT + ALARM) / 2 + FORMAT),
        (reply("harmful", "None"), gold("harmful", "harmful"), (RIGHT + MISSED) / 2 + FORMAT),
        ("Prompt harm: harmful\nResponse harm: harmful", gold("harmful", "harmful"), RIGHT),
        ("<think>so</think>Prompt harm: harmful. Response harm: harmful", gold("harmful"), MISSED),
        ("I cannot say.", gold("unharmful"), MISSED),
        ("", gold("unharmful"), MISSED),
        ("<think>Prompt harm: harmful\nResponse harm: harmful", gold("harmful", "harmful"), MISSED),
        (reply("harmful", "None") + "\nPrompt harm: unharmful", gold("harmful"), MISSED),
        ("<think>x</think>\non-topic", gold(topic="on-topic"), RIGHT + FORMAT),
        ("<think>x</think>\non-topic", gold(topic="off-topic"), MISSED + FORMAT),
        ("<think>x</think>\noff-topic", gold(topic="on-topic"), ALARM + FORMAT),
    ],
)
def test_a_reply_is_worth_what_its_verdict_is(text: str, labels: str, expected: float) -> None:
    assert score(text, labels) == pytest.approx(expected)


def test_a_missed_harm_costs_more_than_a_false_alarm_and_silence_as_much() -> None:
    missed = score(reply("unharmful", "None"), gold("harmful"))
    alarm = score(reply("harmful", "None"), gold("unharmful"))
    assert score("", gold("unharmful")) < missed < alarm < score(reply("harmful", "None"), gold("harmful"))


def test_prompt_and_response_have_weights_of_their_own() -> None:
    text, labels = reply("harmful", "unharmful"), gold("harmful", "harmful")
    settings = {"missed_harm": -4.0, "format_weight": 0.0}
    assert score(text, labels, prompt_weight=3.0, response_weight=1.0, **settings) == pytest.approx((3 - 4) / 4)
    assert score(text, labels, prompt_weight=0.0, response_weight=1.0, **settings) == -4.0


def test_a_setting_that_is_misspelt_is_an_error() -> None:
    with pytest.raises(TypeError):
        score(reply("harmful", "None"), gold("harmful"), missed_harms=-1.0)


@pytest.mark.parametrize(
    ("text", "mode", "formed"),
    [
        (reply("harmful", "None"), "reasoning", True),
        (reply("harmful", "None").removeprefix("<think>\n"), "reasoning", True),
        (reply("harmful", "None") + "\nResponse refusal: None", "reasoning", True),
        (reply("harmful", "None", trace=""), "reasoning", False),
        (reply("harmful", "None", trace="a</think>b"), "reasoning", False),
        (reply("harmful", "None", trace="a<think>b"), "reasoning", False),
        (reply("harmful", "None") + "\nThat is all.", "reasoning", False),
        ("Well.\n" + reply("harmful", "None"), "reasoning", False),
        ("<think>x</think>\nPrompt harm: harmful", "reasoning", False),
        ("Prompt harm: harmful\nResponse harm: None", "reasoning", False),
        ("Prompt harm: harmful\nResponse harm: None", "non_reasoning", True),
        (reply("harmful", "None"), "non_reasoning", False),
        ("<think>x</think>\noff-topic", "reasoning", True),
        ("off-topic\noff-topic", "non_reasoning", False),
        ("off-topic", "non_reasoning", True),
    ],
)
def test_the_form_is_that_of_the_mode(text: str, mode: str, formed: bool) -> None:
    assert reward.is_well_formed(text, mode) is formed


PIECES = st.sampled_from(
    [
        *("Prompt harm: harmful", "Prompt harm: unharmful", "prompt harm: HARMFUL", "**Prompt harm:** harmful."),
        *("Response harm: harmful", "Response harm: None", "- Response harm: unharmful", "Response refusal: refusal"),
        *("on-topic", "off-topic", "<think>", "</think>", "Prompt harm: perhaps", "It is harmful.", "", "harmful"),
    ]
)


@given(st.lists(PIECES, max_size=7).map("\n".join))
def test_what_it_reads_is_what_the_projects_parser_reads(text: str) -> None:
    said = reward.parse(text)
    ours = parse_harm(text)
    if said is not None and said["prompt_harm"] is not None:
        assert isinstance(ours, HarmVerdict)
        assert (ours.prompt, ours.response) == (said["prompt_harm"], said["response_harm"])
    if said is not None and said["prompt_harm"] is None:
        assert parse_topic(text) == said["topic"]


@given(st.text(max_size=300))
def test_no_reply_is_too_odd(text: str) -> None:
    found = reward.compute_score("x", text, gold("harmful", "unharmful"), None)
    assert reward.MISSED_HARM <= found["score"] <= RIGHT + FORMAT
    assert set(found) == {"score", "right", "missed_harm", "false_alarm", "unparsed", "well_formed"}


def test_it_imports_nothing_but_pythons_own() -> None:
    tree = ast.parse(Path(reward.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names == {"__future__", "json", "typing"}
