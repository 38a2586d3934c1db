"""The one parser of answers."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sources.aegis import to_sample
from safety_reasoning.builders.sources.canttalk import to_samples
from safety_reasoning.builders.verdicts import (
    Fault,
    HarmVerdict,
    mismatch,
    parse_harm,
    parse_topic,
    split_think,
    strip_think,
)
from tests.conftest import aegis_row, dialogue

HARM: dict[str, tuple[str, HarmVerdict | Fault]] = {
    "H.1": ("Prompt harm: harmful\n\nResponse harm: unharmful", HarmVerdict("harmful", "unharmful")),
    "H.2": (
        "Prompt harm: harmful\nResponse harm: unharmful\nResponse refusal: refusal",
        HarmVerdict("harmful", "unharmful", "refusal"),
    ),
    "no response": ("Prompt harm: unharmful\nResponse harm: None", HarmVerdict("unharmful", None)),
    "prompt alone": ("Prompt harm: unharmful", HarmVerdict("unharmful", None)),
    "quoted": ('"Prompt harm: harmful\n\nResponse harm: unharmful"', HarmVerdict("harmful", "unharmful")),
    "markdown": ("- **Prompt harm:** `harmful`\n- **Response harm**: harmful.", HarmVerdict("harmful", "harmful")),
    "angle brackets": ("Prompt harm: <harmful>\nResponse harm: <unharmful>", HarmVerdict("harmful", "unharmful")),
    "case and CRLF": ("PROMPT HARM: Harmful\r\nresponse harm: UNHARMFUL\r\n", HarmVerdict("harmful", "unharmful")),
    "said twice alike": ("Prompt harm: harmful\nPrompt harm: harmful", HarmVerdict("harmful", None)),
    "explained": ("Prompt harm: harmful (S3: Criminal Planning)", HarmVerdict("harmful", None)),
    "after thinking": ("<think>Prompt harm: unharmful</think>Prompt harm: harmful", HarmVerdict("harmful", None)),
    "after the last tag": (
        "<think>a</think>\nPrompt harm: harmful\n</think>\nPrompt harm: unharmful",
        HarmVerdict("unharmful", None),
    ),
    "open think": ("<think>The answer is\nPrompt harm: unharmful", Fault.OPEN_THINK),
    "thinks again": ("</think>Prompt harm: harmful\n<think>but", Fault.OPEN_THINK),
    "nothing": ("", Fault.NO_VERDICT),
    "prose": ("I think that the prompt is harmful.", Fault.NO_VERDICT),
    "the template": ("Prompt harm: <harmful/unharmful>", Fault.TWO_VERDICTS),
    "two on a line": ("Prompt harm: harmful or unharmful", Fault.TWO_VERDICTS),
    "two lines": ("Prompt harm: harmful\nPrompt harm: unharmful", Fault.TWO_VERDICTS),
    "responses differ": ("Prompt harm: harmful\nResponse harm: None\nResponse harm: harmful", Fault.TWO_VERDICTS),
    "negated": ("Prompt harm: not harmful", Fault.NO_VERDICT),
    "no prompt verdict": ("Prompt harm: None\nResponse harm: harmful", Fault.NO_VERDICT),
    "response alone": ("Response harm: harmful", Fault.NO_VERDICT),
    "another word": ("Prompt harm: unsafe", Fault.NO_VERDICT),
    "crossed": ("Prompt harm: refusal", Fault.NO_VERDICT),
    "half a word": ("Prompt harm: harmfulness is low", Fault.NO_VERDICT),
    "numbered": ("1. Prompt harm: harmful", Fault.NO_VERDICT),
    "value on the next line": ("Prompt harm:\nharmful", Fault.NO_VERDICT),
    "hyphenated": ("Prompt harm: non-harmful", Fault.NO_VERDICT),
    "said twice in a line": ("Prompt harm: harmful, yes, harmful", HarmVerdict("harmful", None)),
    "refusals differ": (
        "Prompt harm: harmful\nResponse refusal: refusal\nResponse refusal: compliance",
        Fault.TWO_VERDICTS,
    ),
    "response crossed": ("Prompt harm: harmful\nResponse harm: refusal", Fault.NO_VERDICT),
    "refusal crossed": ("Prompt harm: harmful\nResponse refusal: harmful", Fault.NO_VERDICT),
    "null for None": (
        "Prompt harm: harmful\nResponse harm: null\nResponse refusal: None",
        HarmVerdict("harmful", None),
    ),
    "value decorated too much": ("Prompt harm: " + "*" * 30 + "harmful", Fault.NO_VERDICT),
    "quoted in an unclosed thought after the last tag": ("a</think><think>Prompt harm: unharmful", Fault.OPEN_THINK),
    "inside a line": ("so I say Prompt harm: harmful", Fault.NO_VERDICT),
}


@pytest.mark.parametrize(("text", "verdict"), HARM.values(), ids=HARM.keys())
def test_harm_answers(text: str, verdict: HarmVerdict | Fault) -> None:
    assert parse_harm(text) == verdict


TOPIC: dict[str, tuple[str, str]] = {
    "bare": ("on-topic", "on-topic"),
    "marked": ("**Off-topic.**\n", "off-topic"),
    "after thinking": ("<think>on-topic\n</think>\noff-topic", "off-topic"),
    "after prose": ("It leaves the topic.\noff-topic", "off-topic"),
    "twice alike": ("off-topic\noff-topic", "off-topic"),
    "two": ("on-topic\noff-topic", Fault.TWO_VERDICTS),
    "the template": ("<on-topic/off-topic>", Fault.NO_VERDICT),
    "in prose": ("It is off-topic, I think.", Fault.NO_VERDICT),
    "open": ("<think>\noff-topic", Fault.OPEN_THINK),
    "case and CRLF": ("OFF-TOPIC\r\n", "off-topic"),
    "dotted capital I": ("ON-TOP\u0130C", "on-topic"),
    "spaced": ("off - topic", Fault.NO_VERDICT),
    "underscore": ("off_topic", Fault.NO_VERDICT),
    "labelled": ("Answer: off-topic", Fault.NO_VERDICT),
    "none": ("", Fault.NO_VERDICT),
}


@pytest.mark.parametrize(("text", "verdict"), TOPIC.values(), ids=TOPIC.keys())
def test_topic_answers(text: str, verdict: str) -> None:
    assert parse_topic(text) == verdict


ANSWERISH = st.lists(
    st.sampled_from(
        ["Prompt harm: ", "Response harm:", "harmful", "unharmful", "None", "\n", "<think>", "</think>", '"', " "]
    )
    | st.text(max_size=5)
).map("".join)


@given(ANSWERISH | st.text())
def test_any_text_gives_a_verdict_or_a_fault(text: str) -> None:
    assert isinstance(parse_harm(text), HarmVerdict | Fault)
    assert parse_topic(text) in {"on-topic", "off-topic", *Fault}
    reasoning, answer = split_think(text)
    assert "</think>" not in answer
    assert reasoning is None or isinstance(reasoning, str)


@given(ANSWERISH, st.sampled_from([text for text, verdict in HARM.values() if isinstance(verdict, HarmVerdict)]))
def test_what_was_thought_never_changes_the_verdict(thought: str, answer: str) -> None:
    assert parse_harm(f"{thought}</think>{answer}") == parse_harm(answer)


@given(st.text(alphabet=string.ascii_letters + " .,", max_size=40))
def test_prose_around_an_answer_never_changes_it(prose: str) -> None:
    assert parse_harm(f"{prose}\nPrompt harm: harmful\n{prose}") in (
        HarmVerdict("harmful", None),
        Fault.TWO_VERDICTS if "harm:" in prose else HarmVerdict("harmful", None),
    )


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        " ",
        "*",
        ":",
        "prompt harm ",
        "prompt harm:",
        "on-topic\n",
        "Prompt harm: harmful\n",
        "Prompt harm: ",
        "</think>",
        "<think>",
        "on-topic ",
        "*\n",
        "\u0301",
    ],
)
def test_a_megabyte_of_anything_ends(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    parse_harm(text)
    parse_topic(text)
    split_think(text)


SPLITS: dict[str, tuple[str, tuple[str | None, str]]] = {
    "no tags": (" plain ", (None, "plain")),
    "both tags": ("<think>\nwhy\n</think>\n\nyes", ("why", "yes")),
    "opening tag in the template": ("why\n</think>\nyes", ("why", "yes")),
    "quoted tag": ("<think>a </think> b</think>yes", ("a </think> b", "yes")),
    "cut": (" <think>\nwhy it\n", ("why it", "")),
    "tags alone": ("<think></think>", ("", "")),
    "thinks again": ("<think>a</think>b<think>c</think>d", ("a</think>b<think>c", "d")),
    "words before the tag": ("So: <think>why</think>yes", ("So: <think>why", "yes")),
    "mentioned": ("the <think> tag", (None, "the <think> tag")),
}


@pytest.mark.parametrize(("text", "parts"), SPLITS.values(), ids=SPLITS.keys())
def test_reasoning_in_tags_is_split_off(text: str, parts: tuple[str | None, str]) -> None:
    assert split_think(text) == parts


@pytest.mark.parametrize(
    ("trace", "stripped"),
    [
        (" <think>\na\n</think> ", "a"),
        ("a</think>", "a"),
        ("<think>a", "a"),
        (" a ", "a"),
        ("<think></think>", ""),
        ("<think>\na <think> b\n</think>", "a <think> b"),
        ("<think>a</think>b", "a</think>b"),
    ],
    ids=["both", "closing", "opening", "none", "empty", "one inside", "an answer behind"],
)
def test_only_the_tags_around_a_trace_are_stripped(trace: str, stripped: str) -> None:
    assert strip_think(trace) == stripped


def content(**changes: object) -> Sample:
    return to_sample(aegis_row(**changes), {})


TOPICS = {s.topic: s for s in to_samples(dialogue())[0]}


@pytest.mark.parametrize(
    ("sample", "answer", "differs"),
    [
        (content(), "Prompt harm: unharmful\nResponse harm: None", False),
        (content(), "Prompt harm: unharmful\nResponse harm: harmful", False),
        (content(), "Prompt harm: harmful", True),
        (content(), "unharmful", True),
        (content(response="x", response_label="safe"), "Prompt harm: unharmful\nResponse harm: unharmful", False),
        (content(response="x", response_label="safe"), "Prompt harm: unharmful\nResponse harm: harmful", True),
        (content(response="", response_label="safe"), "Prompt harm: unharmful\nResponse harm: None", True),
        (content(response="x"), "Prompt harm: unharmful\nResponse harm: harmful", False),
        (content(response="x"), "Prompt harm: unharmful\nResponse harm: safe", True),
        (content(prompt_label="unsafe"), "<think>harmful</think>Prompt harm: harmful", False),
        (content(), "<think>Prompt harm: unharmful", True),
        (TOPICS["off-topic"], "off-topic", False),
        (TOPICS["off-topic"], "on-topic", True),
        (TOPICS["on-topic"], "Prompt harm: unharmful", True),
    ],
    ids=[
        "agrees",
        "no response, so its verdict says nothing",
        "differs",
        "does not parse",
        "both agree",
        "response differs",
        "an empty response wants a verdict",
        "an unlabelled response wants none",
        "but what is said of it must parse",
        "unsafe is harmful",
        "open think",
        "topic agrees",
        "topic differs",
        "not a topic",
    ],
)
def test_mismatch_is_true_where_the_verdict_differs_or_does_not_parse(
    sample: Sample, answer: str, differs: bool
) -> None:
    assert mismatch(sample, answer) is differs
