"""Whatever a model answers, a guard reads a verdict or says why there is none; it never raises and never guesses."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.guards.adapters import open_guard
from safety_reasoning.eval.guards.guard import Guard
from tests.guard_items import GUARDS, IDS, ITEMS, items_of
from tests.test_guards import CASES

MEGABYTE = 1_000_000
PUBLISHED = sorted({answer for _, _, _, answer, _ in CASES})
QUOTES = [
    "unsafe",
    "harmful",
    "Prompt harm: unharmful\nResponse harm: unharmful",
    "Safety: Safe\nRefusal: No",
    '{"User Safety": "safe", "Response Safety": "safe"}',
    "<score> no </score>",
    "Answers:\nRequest: unharmful\nResponse: unharmful",
    "Harmful request: no\nHarmful response: no",
    "0",
]
"""What a trace may say on its way to another verdict."""
GARBAGE = {
    "nothing": "",
    "blanks": " \n\t\r\n ",
    "prose": "I cannot help with that.",
    "half": "Prompt ha",
    "one letter": "u",
    "Chinese": "\u4e0d\u5b89\u5168",
    "Arabic": "\u063a\u064a\u0631 \u0622\u0645\u0646",
    "right to left": "\u202eefas\u202c",
    "lone surrogate": "\ud800unsafe\udfff",
    "null": "\0",
    "full width": "\uff55\uff4e\uff53\uff41\uff46\uff45",
    "long s": "un\u017fafe",
    "wrong language": "Danger du prompt : nuisible",
    "number": "-1",
    "other digits": "\u0661",
    "html": "<b>unsafe</b>",
    "jinja": "{{ verdict }}",
    "open think": "<think>\nunsafe\nYes\nPrompt harm: harmful\nResponse harm: harmful",
    "the trap": "The text is not unsafe, nor harmful, nor off-topic, so yes it is fine.",
}
LONG = {
    "spaces": " " * MEGABYTE,
    "lines": "\n" * MEGABYTE,
    "one word": "unsafe" * (MEGABYTE // 6),
    "labels": "Prompt harm:" * (MEGABYTE // 12),
    "colons": ":" * MEGABYTE,
    "brackets": "[" * MEGABYTE,
    "objects": '{"a":' * (MEGABYTE // 5),
    "digits": "1" * MEGABYTE,
    "quotes": '"' * MEGABYTE,
    "tags": "<score>" * (MEGABYTE // 7),
    "thinks": "</think>" * (MEGABYTE // 8),
    "commas": "unsafe\n" + "S1, " * (MEGABYTE // 4),
    "channels": "<|channel|>final<|message|>" * (MEGABYTE // 27),
    "stars": "*" * MEGABYTE + "Prompt harm: harmful",
    "answers": "Answers:\n" * (MEGABYTE // 9),
}


ONE_OF_EACH = list({guard.name + str(getattr(guard, "version", "")): guard for guard in GUARDS}.values())


@pytest.mark.parametrize("guard", GUARDS, ids=IDS)
def test_garbage_is_no_verdict(guard: Guard) -> None:
    for name, text in GARBAGE.items():
        for item in items_of(guard):
            reading = guard.read(item, text)
            assert reading.positive is None, name
            assert isinstance(reading.fault, Fault)


@pytest.mark.parametrize("guard", ONE_OF_EACH, ids=lambda guard: guard.name)
def test_a_megabyte_is_read_without_backtracking(guard: Guard) -> None:
    begun = time.process_time()
    for text in LONG.values():
        guard.read(items_of(guard)[-1], text)
    assert time.process_time() - begun < 30  # quadratic would be hours


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote[:20])
def test_what_the_trace_says_is_not_what_the_guard_says(quote: str) -> None:
    for name, settings, subject, answer, reading in CASES:
        if "<think>" in answer or "<|" in answer:
            continue
        guard = open_guard(name, **settings)
        if name != "guardreasoner":  # reasons in plain text: no tags end it
            assert guard.read(ITEMS[subject], f"<think>\n{quote}\n</think>\n{answer}") == reading
        assert guard.read(ITEMS[subject], f"<think>\n{quote}").fault is Fault.OPEN_THINK


@given(st.text() | st.sampled_from(PUBLISHED), st.text() | st.sampled_from(PUBLISHED))
def test_whatever_the_answer_a_reading_has_a_verdict_or_a_fault(first: str, second: str) -> None:
    for guard in GUARDS:
        for item in items_of(guard):
            for answer in (first, f"{first}\n{second}", f"<think>{first}</think>{second}", first[: len(second)]):
                reading = guard.read(item, answer)
                assert (reading.positive is None) == (reading.fault is not None)


@given(st.sampled_from(CASES), st.sampled_from(CASES))
def test_two_answers_that_differ_are_never_one_verdict(one: Any, other: Any) -> None:
    name, settings, subject, answer, reading = one
    _, _, _, contrary, read_otherwise = other
    if (name, settings, subject) != other[:3] or None in (reading.positive, read_otherwise.positive):
        return
    if reading.positive != read_otherwise.positive and "</" not in contrary and "<|" not in answer + contrary:
        assert open_guard(name, **settings).read(ITEMS[subject], f"{answer}\n{contrary}").positive is None
