"""What a generation is worth, how difficult a row is, and what the report counts: without a server."""

from collections import Counter
from typing import Any

import pytest

from safety_reasoning.builders.calls import Status
from safety_reasoning.builders.samples import Turn
from safety_reasoning.schemas.columns import Task
from safety_reasoning.train.mine_facts import Facts
from safety_reasoning.train.mine_outcome import Judged, Labels, Outcome, judge
from safety_reasoning.train.mine_report import count, in_words
from safety_reasoning.train.mine_rows import Asked, asked_rows, sample_key
from safety_reasoning.train.mine_samples import Generation, Kind, Sample, generation
from tests.mining import reply, safety_answer
from tests.tiny_model import mixture_row


def harm(prompt: str | None, response: str | None = None) -> Labels:
    return Labels(Task.CONTENT_SAFETY, prompt, response, None)


TOPIC = Labels(Task.TOPIC_CONTROL, None, None, "off-topic")


@pytest.mark.parametrize(
    ("labels", "answer", "outcome", "said"),
    [
        pytest.param(harm("harmful"), safety_answer("harmful"), "right", "harmful/None", id="prompt alone"),
        pytest.param(harm("harmful"), safety_answer("unharmful"), "wrong", "unharmful/None", id="prompt missed"),
        pytest.param(
            harm("harmful", "harmful"), safety_answer("harmful", "harmful"), "right", "harmful/harmful", id="both right"
        ),
        pytest.param(
            harm("harmful", "unharmful"),
            safety_answer("harmful", "harmful"),
            "wrong",
            "harmful/harmful",
            id="one right",
        ),
        pytest.param(
            harm("harmful", "harmful"), safety_answer("harmful"), "wrong", "harmful/None", id="response unsaid"
        ),
        pytest.param(harm("harmful"), safety_answer("harmful", "harmful"), "right", "harmful/harmful", id="no label"),
        pytest.param(harm("harmful"), "I cannot say.", "unparsed", "", id="no verdict"),
        pytest.param(
            harm("harmful"), "Prompt harm: harmful\nPrompt harm: unharmful", "unparsed", "", id="two verdicts"
        ),
        pytest.param(harm("harmful"), "<think>Prompt harm: harmful", "unparsed", "", id="open think"),
        pytest.param(harm("harmful"), " \n", "empty", "", id="nothing"),
        pytest.param(TOPIC, "off-topic", "right", "off-topic", id="topic right"),
        pytest.param(TOPIC, "on-topic", "wrong", "on-topic", id="topic wrong"),
        pytest.param(TOPIC, safety_answer("harmful"), "unparsed", "", id="another task's answer"),
    ],
)
def test_a_generation_is_right_if_every_label_is(labels: Labels, answer: str, outcome: str, said: str) -> None:
    assert judge(labels, reply(answer)) == Judged(Outcome(outcome), said)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (Status.TRUNCATED, Outcome.TRUNCATED),
        (Status.REJECTED, Outcome.FAILED),
        (Status.ERROR_BODY, Outcome.FAILED),
        (Status.EMPTY_REASONING, Outcome.RIGHT),
    ],
)
def test_how_a_reply_ended_goes_before_what_it_says(status: Status, outcome: Outcome) -> None:
    assert judge(harm("harmful"), reply(safety_answer("harmful"), status=status)).outcome is outcome


def sample(right: int, of: int = 4, *, key: str = "0" * 32, failed: int = 0, **labels: Any) -> Sample:
    row = Asked(key=key, mode="reasoning", labels=harm("harmful", **labels), turns=(Turn("user", "x"),))
    answers = [Outcome.RIGHT] * right + [Outcome.FAILED] * failed + [Outcome.WRONG] * (of - right - failed)
    said = {Outcome.RIGHT: "harmful/None", Outcome.WRONG: "unharmful/None", Outcome.FAILED: ""}
    return Sample(row, tuple(Generation(Judged(outcome, said[outcome]), None, "", 1) for outcome in answers))


@pytest.mark.parametrize(
    ("right", "of", "keep", "kind"),
    [
        (0, 4, (2, 3), Kind.ALWAYS_WRONG),
        (1, 4, (2, 3), Kind.SELDOM_RIGHT),
        (2, 4, (2, 3), Kind.DIFFICULT),
        (3, 4, (2, 3), Kind.DIFFICULT),
        (4, 4, (2, 3), Kind.ALWAYS_RIGHT),
        (7, 8, (2, 5), Kind.MOSTLY_RIGHT),
        (1, 4, (1, 1), Kind.DIFFICULT),
        (0, 4, (1, 3), Kind.ALWAYS_WRONG),
    ],
)
def test_a_row_is_as_difficult_as_it_is_seldom_right(right: int, of: int, keep: tuple[int, int], kind: Kind) -> None:
    assert sample(right, of).kind(keep) is kind


def test_a_row_whose_question_was_refused_is_not_judged() -> None:
    assert sample(2, failed=1).kind((2, 3)) is Kind.NOT_JUDGED
    report = count([sample(2, failed=1), sample(2)], (2, 3), {})
    assert report["kinds"] == dict.fromkeys(map(str, Kind), 0) | {"difficult": 1, "not_judged": 1}
    assert sum(report["right"].values()) == 1


def test_the_counts_of_a_report_do_not_depend_on_the_order() -> None:
    samples = [sample(right, key=f"{n:032x}") for n, right in enumerate([0, 1, 2, 2, 3, 4, 4, 0])]
    facts = {
        f"{n:032x}": Facts(("Violence", "Threat") if n % 2 else (), (("a", "differs" if n == 0 else "agrees"),))
        for n in range(7)
    }
    report = count(samples, (2, 3), facts)
    assert report["right"] == {"0": 2, "1": 1, "2": 2, "3": 1, "4": 2}
    assert report["by"]["category"] == {
        "Threat": {"0": 0, "1": 1, "2": 1, "3": 0, "4": 1},
        "Violence": {"0": 0, "1": 1, "2": 1, "3": 0, "4": 1},
        "none": {"0": 1, "1": 0, "2": 1, "3": 1, "4": 1},
    }
    assert report["by"]["verdict of a"]["differs"] == {"0": 1, "1": 0, "2": 0, "3": 0, "4": 0}
    assert report["always_wrong"] == {
        "rows": 2,
        "unanimous": 2,
        "said": {"harmful/None is labelled, unharmful/None is said": 2},
    }
    assert report["not_in_releases"] == 1
    assert count(samples[::-1], (2, 3), facts) == report


def test_a_report_in_words_is_plain_text_whatever_a_category_is_called() -> None:
    evil = "\x1b[31mred\u202e\n{0}{{ x }}<script>"
    text = in_words(count([sample(0), sample(2)], (2, 3), {"0" * 32: Facts((evil,), ())}))
    assert "difficult (right 2 to 3 times): 1 (50.0%)" in text
    assert not any(letter in text for letter in "\x1b\u202e")
    assert "{0}{{ x }}<script>" in text


def test_half_a_surrogate_pair_in_an_answer_is_kept_as_a_sign_that_a_file_can_hold() -> None:
    made = generation(reply("a\ud800b", reasoning="\udfff"), Judged(Outcome.UNPARSED))
    assert (made.answer, made.reasoning) == ("a?b", "?")


def test_a_row_that_a_mixture_holds_twice_is_asked_about_once() -> None:
    rows = [mixture_row(1), mixture_row(2), mixture_row(1)]
    assert [asked.key for asked in asked_rows(rows)] == [f"{1:032x}", f"{2:032x}"]


def test_keys_that_no_store_could_take_are_hashed() -> None:
    keys = ["0" * 32, "0" * 30, "row 1", "ü\n", ""]
    assert sample_key(keys[0]) == keys[0]
    assert Counter(len(bytes.fromhex(sample_key(key))) for key in keys) == {16: 5}
