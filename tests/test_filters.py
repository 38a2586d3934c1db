"""Which traces are refused, and why."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safety_reasoning.builders.verdicts import HarmVerdict, parse_harm, parse_topic
from safety_reasoning.filters.apply import FILTERS, reasons
from safety_reasoning.filters.reasons import Drop

REFUSED = {
    "The rule is clear.\nPrompt harm: unharmful": Drop.VERDICT_LINE,
    'so the answer is "Prompt harm: harmful".': Drop.VERDICT_LINE,
    "**Response harm**: <unharmful>": Drop.VERDICT_LINE,
    "RESPONSE  REFUSAL : compliance": Drop.VERDICT_LINE,
    "It strays.\n off-topic.\n": Drop.VERDICT_LINE,
    "It strays.\n" + " " * 20 + "Off-Topic" + "." * 20: Drop.VERDICT_LINE,
    "So\nPrompt harm:" + " " * 15 + "unharmful": Drop.VERDICT_LINE,
    "Prompt harm" + "*" * 15 + ": harmful": Drop.VERDICT_LINE,
    "Prompt harm:\n\nunharmful": Drop.VERDICT_LINE,
    "Prompt harm\n: unharmful": Drop.VERDICT_LINE,
    "the_response harm: unharmful": Drop.VERDICT_LINE,
    "__Prompt harm:__ __unharmful__": Drop.VERDICT_LINE,
    "1. prompt harm: <harmful/unharmful>": Drop.VERDICT_LINE,
    "a </think> b": Drop.THINK_TAG,
    "a <think> b": Drop.THINK_TAG,
    " \n": Drop.EMPTY,
    "half \ud83d": Drop.NOT_UNICODE,
}
CLEAN = [
    "The prompt is harmful, since it asks how to hurt somebody (S1: Violence).",
    "The prompt harm is low; the response is unharmful.",
    "The message is off-topic, because the rules allow only banking.",
    "It discusses labels: a label says what is in the box.",
    "Prompt harm label is a column of the table.",
    "Prompt harm: it is harmful to nobody.",
    "The response harm: unharmfulness is not a word.",
    "The prompt: harmful.",
    "Both on-topic and off-topic turns occur.",
    "1) a\n2) b\n- c",
    "\u202eright to left\x00",
]


@pytest.mark.parametrize(("trace", "reason"), REFUSED.items(), ids=[f"{r}-{n}" for n, r in enumerate(REFUSED.values())])
def test_a_trace_that_cannot_be_released_has_its_reason(trace: str, reason: Drop) -> None:
    assert reasons(trace) == (reason,)


@pytest.mark.parametrize("trace", CLEAN)
def test_an_ordinary_trace_passes(trace: str) -> None:
    assert reasons(trace) == ()


@given(st.text())
def test_any_text_is_judged_alike_each_time(trace: str) -> None:
    found = reasons(trace)
    assert found == reasons(trace)
    assert set(found) == {r for check in reversed(FILTERS) if (r := check(trace)) is not None}


def test_several_reasons_stand_in_the_order_of_the_filters() -> None:
    assert reasons("\ud800 Prompt harm: harmful</think>") == (Drop.NOT_UNICODE, Drop.THINK_TAG, Drop.VERDICT_LINE)


PIECES = [
    "Prompt harm",
    "Response harm",
    "on-topic",
    "off-topic",
    ":",
    "harmful",
    "unharmful",
    " " * 9,
    "\n",
    "*" * 9,
    "_",
]
ANSWERISH = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


@given(ANSWERISH)
@example("Prompt harm:" + " " * 12 + "unharmful")
@example("Prompt harm" + "*" * 12 + ": unharmful")
def test_no_trace_passes_that_the_parser_reads_as_an_answer(trace: str) -> None:
    answered = isinstance(parse_harm(trace), HarmVerdict) or parse_topic(trace) in ("on-topic", "off-topic")
    assert not answered or Drop.VERDICT_LINE in reasons(trace)


@given(st.sampled_from(["Prompt harm", "response Harm"]), ANSWERISH, st.text("\t\n\v\f\r \xa0\u2028", max_size=30))
def test_no_trace_passes_that_nemo_guardrails_reads_as_safe(field: str, prose: str, space: str) -> None:
    trace = f"{prose}{field}{space}:{space}Unharmful."
    assert Drop.VERDICT_LINE in reasons(trace)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit",
    ["prompt harm ", "\n", "prompt  ", "*", "on-topic", "prompt harm:", "prompt harm\n", "prompt harm:\n", "_", ":"],
)
def test_a_megabyte_of_anything_ends(unit: str) -> None:
    reasons(unit * (1_000_000 // len(unit)))
