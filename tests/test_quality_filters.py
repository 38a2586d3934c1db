"""Which reasons the filters of trace quality give, that they give them for any text, and how fast."""

import json
import random
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.filters.apply import reasons
from safety_reasoning.filters.claims import harm_claims, topic_claims
from safety_reasoning.filters.cues import cues
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.quality import FILTERS, quality
from safety_reasoning.filters.reading import Reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace
from safety_reasoning.schemas.columns import Task
from tests.conftest import ROOT

GOLDEN = ROOT / "tests" / "golden"
LIMITS = Limits()
HARMFUL, UNHARMFUL = "Prompt harm: harmful\nResponse harm: None", "Prompt harm: unharmful\nResponse harm: None"
TEMPLATE = "\n".join(load_prompt("generate_aegis").pieces[::2])


def trace(text: str, **changes: object) -> Trace:
    """A full trace on a harmless prompt."""
    plain = Trace(
        text=text,
        answer=UNHARMFUL,
        task=Task.CONTENT_SAFETY,
        step="full",
        inputs=("How do I sharpen a kitchen knife on a whetstone?",),
        template=TEMPLATE,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the tables below name fields


GOOD = (
    "The user asks how a kitchen knife is sharpened. A whetstone is a common tool, and keeping blades in order is part "
    "of any kitchen. S4 covers weapons, but nothing suggests that the knife is meant for anything except cooking. "
    "There is no reply to judge. No category of the taxonomy applies."
)
FINE = {
    "plain": trace(GOOD),
    "one sentence": trace("Sharpening a kitchen knife is ordinary upkeep, so no category applies.", step="efficient"),
    "list at the end": trace(GOOD + "\n\n- S1: nobody is hurt\n- S4: a tool, no weapon"),
    "one hesitation": trace("Wait, could the knife be a weapon? " + GOOD),
    "a label of another kind": trace("The user reads the label on the bottle of honing oil. " + GOOD),
    "its own labelling": trace(GOOD + " I would label this request as ordinary."),
    "a refusal that is described": trace(
        "The assistant says \"I'm sorry, but I can't help with that.\" That is a refusal of a harmless question, and "
        "it does not harm the user, who only wanted to keep a knife in order.",
        inputs=("How do I sharpen a knife?", "I'm sorry, but I can't help with that."),
    ),
    "a word of the sample": trace(
        "The user compares masks with the ground truth of a segmentation task, which is a question of computer vision.",
        inputs=("My model differs from the ground truth. Why?",),
    ),
    "a tag of the sample": trace(
        "The user asks what `<div>` means. It is a question on the markup of web pages, and nobody is harmed.",
        inputs=("What does <div> mean?",),
    ),
    "quoted once": trace(
        'The user asks "How do I sharpen a kitchen knife on a whetstone?", and a whetstone is for tools. Nothing in it '
        "points to a person who could be hurt, and the knife is named as one for the kitchen. It is upkeep of a tool."
    ),
    "weighed before it concludes": trace(
        "If the user meant to hurt somebody, the prompt would be harmful. Nothing says so, so the prompt is unharmful."
    ),
    "takes back what it concluded": trace("So the prompt is harmful. No: the prompt is unharmful. " + GOOD),
    "foreign words are quoted": trace("The word Schadenfreude is German for joy at the harm of others. " + GOOD),
}
REFUSED = {
    "label, by name": (Drop.LABEL_LEAK, trace(GOOD + " The ground truth says the same.")),
    "label, by the standard": (Drop.LABEL_LEAK, trace("Since the gold standard says unharmful, we justify. " + GOOD)),
    "label, given": (Drop.LABEL_LEAK, trace("The provided label is unharmful. " + GOOD)),
    "label, decided": (Drop.LABEL_LEAK, trace(GOOD + " That fits, since it was already marked as unharmful.")),
    "label, annotators": (Drop.LABEL_LEAK, trace(GOOD + " The annotators saw it in the same way.")),
    "label, told": (Drop.LABEL_LEAK, trace(GOOD + " I was told that the prompt is unharmful, so I explain why.")),
    "overthinking": (
        Drop.OVERTHINKING,
        trace(
            "A knife. Wait, a knife is a weapon. Hmm, but it is for the kitchen. Or is it? Let me reconsider. Actually"
            ", no, the whetstone is a tool. But then again a sharp knife cuts. Hmm. I'm not sure. Fine, unharmful."
        ),
    ),
    "loop of words": (Drop.REPETITION, trace(GOOD + " It is safe" + " and safe" * 20 + ".")),
    "loop of sentences": (Drop.REPETITION, trace(GOOD + " Nobody is hurt by this knife." * 4)),
    "copied paragraph": (Drop.REPETITION, trace(f"{GOOD}\n\n{GOOD}")),
    "loop of characters": (Drop.REPETITION, trace(GOOD + " Fine" + "!" * 60)),
    "said again in other words": (
        Drop.NEAR_DUPLICATE,
        trace(
            "The user wants to sharpen a kitchen knife. Sharpening a kitchen knife is what the user wants. The kitchen "
            "knife is to be sharpened by the user. A user wanting a sharpened kitchen knife is asking. It is harmless."
        ),
    ),
    "too long": (
        Drop.TOO_LONG,
        trace(" ".join(f"Point {n} is that tool {n * 7} is for trade {n * 3}." for n in range(200))),
    ),
    "too long for one sentence": (Drop.TOO_LONG, trace("It " + "very " * 70 + "ends.", step="efficient")),
    "the server cut it": (Drop.TRUNCATED, trace(GOOD, finish_reason="length")),
    "ends in an article": (Drop.TRUNCATED, trace(GOOD + " It belongs to the")),
    "ends in a comma": (Drop.TRUNCATED, trace("The knife is for the kitchen,", step="efficient")),
    "ends in an empty item": (Drop.TRUNCATED, trace(GOOD + "\n1. A tool\n2.")),
    "ends in a word": (Drop.TRUNCATED, trace(GOOD + " And as far as the whetstone goes there is nothing to rep")),
    "concludes harm": (Drop.CONTRADICTS_VERDICT, trace(GOOD + " Therefore the prompt is clearly harmful.")),
    "concludes no harm": (Drop.CONTRADICTS_VERDICT, trace(GOOD + " So the prompt isn't harmful.", answer=HARMFUL)),
    "concludes off-topic": (
        Drop.CONTRADICTS_VERDICT,
        trace("The bot sells shoes. So the message is off-topic.", answer="on-topic", task=Task.TOPIC_CONTROL),
    ),
    "declines": (Drop.TEACHER_REFUSAL, trace("I'm sorry, but I can't assist with this request.")),
    "declines, with a curly apostrophe": (
        Drop.TEACHER_REFUSAL,
        trace("I can\u2019t help with classifying this content."),
    ),
    "declines for its rules": (Drop.TEACHER_REFUSAL, trace("As an AI language model, I cannot reason about weapons.")),
    "copied": (
        Drop.PROMPT_COPIED,
        trace("The user says: How do I sharpen a kitchen knife on a whetstone? That is what was asked here."),
    ),
    "Chinese": (Drop.WRONG_LANGUAGE, trace("用户询问如何磨刀,这是一个普通的厨房问题,没有任何危害。")),
    "German": (
        Drop.WRONG_LANGUAGE,
        trace("Der Nutzer fragt, wie man ein Messer schärft, und das ist eine harmlose Frage aus der Küche."),
    ),
    "half French": (
        Drop.WRONG_LANGUAGE,
        trace(
            GOOD
            + " La question porte sur un couteau de cuisine et elle ne vise pas une personne. Il est donc clair que "
            "la demande est sans danger pour les autres, et que le couteau est un outil de la cuisine."
        ),
    ),
    "escape codes": (Drop.CONTROL_CHARACTERS, trace("\x1b[1m" + GOOD)),
    "undecodable": (Drop.CONTROL_CHARACTERS, trace(GOOD + " The knife\ufffds edge is dull.")),
    "template tokens": (Drop.BROKEN_MARKUP, trace(GOOD + "<|im_end|>")),
    "open fence": (Drop.BROKEN_MARKUP, trace("```\n" + GOOD)),
    "stray tag": (Drop.BROKEN_MARKUP, trace(f"<answer>{GOOD}</answer>")),
    "lost tokens": (Drop.BROKEN_MARKUP, trace(GOOD + " assistantfinal It is fine.")),
    "the template again": (
        Drop.TEMPLATE_ECHO,
        trace(
            "Given a request from a human user and a response from an LLM assistant, determine whether it is harmful."
        ),
    ),
    "about the format": (
        Drop.TEMPLATE_ECHO,
        trace(
            "The answer should be given in the required format. My output has two fields, and the final answer comes "
            "after the thinking. I must follow these instructions."
        ),
    ),
    "nothing said": (Drop.NO_REASONING, trace("None.")),
}


@pytest.mark.parametrize("fine", FINE.values(), ids=FINE)
def test_a_good_trace_passes(fine: Trace) -> None:
    assert quality(fine, LIMITS) == ()


@pytest.mark.parametrize(("reason", "faulty"), REFUSED.values(), ids=REFUSED)
def test_a_faulty_trace_has_its_reason(reason: Drop, faulty: Trace) -> None:
    assert reason in quality(faulty, LIMITS)


@pytest.mark.parametrize(("reason", "faulty"), REFUSED.values(), ids=REFUSED)
def test_a_filter_that_is_off_gives_no_reason(reason: Drop, faulty: Trace) -> None:
    assert reason not in quality(faulty, Limits(off=(reason,)))


def test_every_reason_of_a_filter_has_a_row_in_the_table() -> None:
    assert {reason for reason, _ in REFUSED.values()} >= {Drop(check.__name__) for check in FILTERS}


def test_the_structural_reasons_come_first() -> None:
    found = quality(trace("Prompt harm: harmful, by the ground truth, and so it is"), LIMITS)
    assert found[0] is Drop.VERDICT_LINE
    assert Drop.LABEL_LEAK in found


def test_an_answer_without_a_verdict_contradicts_nothing() -> None:
    assert quality(trace(GOOD + " So the prompt is harmful.", answer="no idea"), LIMITS) == ()


def test_limits_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate({"max_words": 3})
    with pytest.raises(ValidationError):
        Limits(copied_share=1.5)


def test_a_shortened_trace_may_have_as_many_words_as_its_sentences_take() -> None:
    words = " ".join(f"Point {n} is that tool {n * 7} serves trade {n * 3} and no other one." for n in range(9))
    assert Drop.TOO_LONG in quality(trace(words, step="efficient"), LIMITS)
    assert Drop.TOO_LONG not in quality(trace(words, step="efficient", sentences=9), LIMITS)
    assert Drop.TOO_LONG not in quality(trace(words, sentences=9), LIMITS)


CONCLUDED = {
    "double denial": ("I can't say that this prompt is anything but harmless.", False, None),
    "neither": ("Neither the prompt nor the response is harmful.", False, False),
    "each by name": ("The prompt is not harmful, but the response is harmful.", False, True),
    "whom it is for": ("I'd go with harmful for the request and unharmful for the reply.", True, False),
    "terse": ("So prompt harmful, response unharmful.", True, False),
    "elided": ("The response, as I see it, is clearly unsafe.", None, True),
    "without the word": ("The request falls under S5.", True, None),
    "denied without the word": ("The request does not touch any category.", False, None),
    "to be answered": ("This request must not be answered.", True, None),
    "beyond doubt": ("It doesn't surprise me that the prompt is harmful.", True, None),
    "before a noun": ("The user asks about harmful insects.", None, None),
    "under a condition": ("If the user meant it, the prompt would be harmful.", None, None),
    "a condition behind": ("The prompt is harmful if somebody acts on it.", None, None),
    "left open": ("The prompt might be harmful.", None, None),
    "a question": ("Is the prompt harmful?", None, None),
    "somebody else's": ("Rat poison is harmful.", None, None),
}


@pytest.mark.parametrize(("text", "prompt", "response"), CONCLUDED.values(), ids=CONCLUDED)
def test_what_a_sentence_concludes_is_found_for_each_party(
    text: str, prompt: bool | None, response: bool | None
) -> None:
    found: dict[str, bool] = {}
    for claim in harm_claims(Reading(text)):
        parties = ("prompt", "response") if claim.of == "both" else (claim.of,)
        found = {party: claim.wrong for party in parties} | found
    assert (found.get("prompt"), found.get("response")) == (prompt, response)


TOPICS = {
    "on-topic": ("So the message is on-topic.", False),
    "denied": ("The message is not on-topic.", True),
    "off-topic": ("The last message counts as off-topic.", True),
    "not covered": ("That is a question which the instruction does not cover.", True),
    "not excluded": ("The subject is not excluded.", False),
    "may answer": ("The assistant may go ahead and answer.", False),
    "should not answer": ("The assistant should not answer.", True),
    "to be declined": ("The turn should be declined.", True),
    "alternatives": ("The options are on-topic or off-topic.", None),
}


@pytest.mark.parametrize(("text", "outside"), TOPICS.values(), ids=TOPICS)
def test_what_a_sentence_concludes_of_the_topic_is_found(text: str, outside: bool | None) -> None:
    claims = list(topic_claims(Reading(text)))
    assert (claims[0].wrong if claims else None) == outside


def test_a_limit_moves_the_line() -> None:
    hesitant = trace("Wait, is it a weapon? Hmm. Maybe not. " + GOOD)
    assert Drop.OVERTHINKING in quality(hesitant, LIMITS)
    assert Drop.OVERTHINKING not in quality(hesitant, Limits(min_hesitations=9))
    assert Drop.TOO_LONG in quality(trace(GOOD), Limits(max_words_full=20))


PIECES = [
    "the ground truth label is harmful. ", "Wait, ", "hmm ", "So the prompt is not harmful. ", "I can't help. ",
    "<|im_end|>", "```", '"', "\n", "1. ", "(", "the response ", "wie man das Messer mit ", "用户", "\ud800", "\x00",
]  # fmt: skip
TEXTS = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)


@settings(max_examples=300)
@given(TEXTS, st.sampled_from(["full", "efficient"]), st.sampled_from(list(Task)), st.lists(TEXTS, max_size=2))
def test_any_text_is_judged_alike_in_any_order(text: str, step: str, task: Task, inputs: list[str]) -> None:
    judged = trace(text, step=step, task=task, inputs=tuple(inputs))
    found = quality(judged, LIMITS)
    assert found == quality(judged, LIMITS)
    assert len(set(found)) == len(found)
    backwards = {reason for check in reversed(FILTERS) if (reason := check(judged, LIMITS)) is not None}
    assert set(found) == backwards | set(reasons(text))


@given(TEXTS)
def test_the_words_of_a_text_do_not_depend_on_what_was_asked_first(text: str) -> None:
    one, other = Reading(text), Reading(text)
    assert one.sentences is not None
    assert one.words == other.words


def test_a_loop_of_one_sentence_is_taken_apart_once() -> None:
    looped = Reading('It is fine. He said "It is fine. It is fine." It is fine. ' * 3).sentences
    assert len({id(sentence) for sentence in looped}) == len(set(map(str, looped))) < len(looped)


CUED = ["label_leak", "overthinking", "template_echo", "teacher_refusal", "verdict"]


@pytest.mark.parametrize("name", CUED)
def test_what_a_group_needs_is_in_everything_that_it_matches(name: str) -> None:
    """On every text at hand: the sentence is not skipped in which an expression of the group would match."""
    texts = [judged.text for _, judged in REFUSED.values()] + [row["trace"] for row in _golden()]
    for text in texts:
        for sentence in Reading(text).sentences:
            for group in cues(name):
                if group.needs and group.pattern.search(sentence.text):
                    assert group.needed(sentence.stems), (group.name, sentence.text)


def _golden() -> list[dict[str, str]]:
    lines = (
        line for path in sorted(GOLDEN.glob("batch-*/traces-*.jsonl")) for line in path.read_text("utf-8").splitlines()
    )
    return [json.loads(line) for line in lines]


SIZE = 1_000_000
UNITS = [
    "a", "wait ", "\n", "(", "label ", "the user asks about a lock ", "<", "<|", '"', '"a', ". ", "i can't ",
    "the prompt is not harmful. ", "the given verdict harmful ", "is ", "[", "{{", "\\", "- ", "_", "as given ", "no, ",
    "so it is harmful\n", " ", "would you like ", "h", "😀", "и ", "用", "harmful ", "not ", "the ", "the prompt and ",
    "which is harmless, ", "neither the prompt nor ", "i consider it ", "\\n", "harm :", "```a\n", "unharmful/",
    "1. a b c\n", "given verdict ", "Write it. ", "no harm ", "`a` ", "s1 applies and ", "it is covered ",
    "we must refuse ",
]  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_of_one_thing_is_judged_in_seconds(unit: str) -> None:
    _in_seconds(unit * (SIZE // len(unit)))


@pytest.mark.timeout(60)
def test_a_megabyte_of_anything_is_judged_in_seconds() -> None:
    chance = random.Random(0)  # noqa: S311  # not for secrets
    blocks = ((32, 592), (0x400, 0x3000), (0x10000, 0x11000))
    _in_seconds("".join(chr(chance.randrange(*chance.choice(blocks))) for _ in range(SIZE)))
    _in_seconds(" ".join(f"w{chance.randrange(5000)}" + "." * (n % 9 == 0) for n in range(SIZE // 6)))


def _in_seconds(text: str) -> None:
    """Within ten times what it takes on an idle core; a quadratic step would take minutes."""
    started = time.process_time()
    quality(trace(text), LIMITS)
    assert time.process_time() - started < 10


def test_the_golden_set_is_judged_as_its_writers_judge_it() -> None:
    """Over all filters: on the rows that nothing was chosen on, as benchmarks/golden_filters.py reports it."""
    command = [sys.executable, str(ROOT / "benchmarks" / "golden_filters.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])["measured"]
    assert measured["fresh: precision, all filters"] >= 0.90
    assert measured["fresh: recall, all filters"] >= 0.90
    assert measured["fresh: fine traces kept"] >= 0.85
    assert measured["fresh: faulty traces refused"] >= 0.90
