"""Which traces are refused, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.filters.apply import FILTERS, reasons
from safety_reasoning.filters.reasons import Drop

REFUSED = {
    "The rule is clear.\nPrompt harm: unharmful": Drop.VERDICT_LINE,
    'so the answer is "Prompt harm: harmful".': Drop.VERDICT_LINE,
    "**Response harm**: <unharmful>": Drop.VERDICT_LINE,
    "RESPONSE  REFUSAL : compliance": Drop.VERDICT_LINE,
    "It strays.\n off-topic.\n": Drop.VERDICT_LINE,
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


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", ["prompt harm ", "\n", "prompt  ", "*", "on-topic", "prompt harm:"])
def test_a_megabyte_of_anything_ends(unit: str) -> None:
    reasons(unit * (1_000_000 // len(unit)))
