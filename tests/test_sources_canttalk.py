"""CantTalkAboutThis: dialogues to turns."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.recipe import SourceRecipe
from safety_reasoning.builders.samples import TopicControlSample
from safety_reasoning.builders.sources.canttalk import to_samples
from safety_reasoning.builders.sources.load import Loaded, load_sources
from safety_reasoning.builders.sources.selection import Selection, select
from safety_reasoning.builders.sources.turns import MIN_QUOTE
from safety_reasoning.errors import UsageError
from tests.conftest import dialogue, write_dialogues

PLAIN = dialogue()
LOST = [{"bot turn": "Nobody said that.", "distractor": "Lost?"}]
OFF = PLAIN["distractors"][0]["distractor"]
BOT = PLAIN["distractors"][0]["bot turn"]


def turns(samples: list[TopicControlSample]) -> list[tuple[str, str]]:
    return [(s.topic, s.message) for s in samples]


def load(folder: Path, *, strict: bool = False, **source: Any) -> Loaded:
    return load_sources((SourceRecipe(kind="canttalkaboutthis", path=str(folder), **source),), strict=strict)


def test_every_user_turn_is_a_sample_with_what_came_before_it() -> None:
    samples, problems = to_samples(PLAIN)
    assert problems == []
    assert turns(samples) == [
        ("on-topic", "Which documents do I need to open an account?"),
        ("off-topic", OFF),
        ("on-topic", "Can I send them by post?"),
    ]
    assert [len(s.history) for s in samples] == [0, 2, 3]
    assert samples[2].history[2].content == OFF
    assert {s.domain for s in samples} == {"banking"}


def test_both_layouts_give_the_same_samples() -> None:
    flat = [turn for group in PLAIN["conversation_with_distractors"] for turn in group]
    assert to_samples(dialogue(conversation_with_distractors=flat)) == to_samples(PLAIN)


@pytest.mark.parametrize(
    ("spoken", "found"),
    [(OFF, True), (OFF.replace("match", "game"), True), ("What is the weather like?", False)],
    ids=["exact", "fuzzy", "another turn"],
)
def test_a_distractor_claims_the_turn_that_only_the_longer_version_has(spoken: str, found: bool) -> None:
    groups = [PLAIN["conversation"][:2], [{"role": "user", "content": spoken}], PLAIN["conversation"][2:]]
    samples, problems = to_samples(dialogue(conversation_with_distractors=groups))
    assert (("off-topic", spoken) in turns(samples)) is found
    assert [p.reason for p in problems] == ([] if found else [Reason.UNLABELLED_TURN])


def test_without_the_plain_conversation_distractors_are_found_by_their_words() -> None:
    assert to_samples(dialogue(conversation=None)) == to_samples(PLAIN)


@pytest.mark.parametrize("missing", [None, [], float("nan")], ids=["null", "empty", "nan"])
def test_without_the_version_with_distractors_they_are_placed_after_their_bot_turn(missing: object) -> None:
    assert to_samples(dialogue(conversation_with_distractors=missing)) == to_samples(PLAIN)


@pytest.mark.parametrize(
    ("quoted", "placed"),
    [
        (BOT, True),
        (BOT.replace("proof", "prove").rstrip("."), True),
        (BOT.split(", ", 1)[0] + ", and a proof of your", True),
        (BOT[:MIN_QUOTE], True),
        (BOT[: MIN_QUOTE - 1], False),
        ("A passport.", False),
        ("Our branches are closed on Sundays and on public holidays, I am afraid.", False),
    ],
    ids=["exact", "fuzzy", "quoted in part", "just long enough", "just too short", "short quote", "another turn"],
)
def test_bot_turns_are_found_exactly_then_by_likeness(quoted: str, placed: bool) -> None:
    changed = dialogue(conversation_with_distractors=None, distractors=[{"bot turn": quoted, "distractor": OFF}])
    samples, problems = to_samples(changed)
    assert (("off-topic", OFF) in turns(samples)) is placed
    assert [p.reason for p in problems] == ([] if placed else [Reason.DISTRACTOR_UNPLACED])


def test_two_distractors_at_one_bot_turn_stand_in_their_order() -> None:
    pairs = [{"bot turn": BOT, "distractor": text} for text in ("First?", "Second?")]
    samples, _ = to_samples(dialogue(conversation_with_distractors=None, distractors=pairs))
    assert [text for topic, text in turns(samples) if topic == "off-topic"] == ["First?", "Second?"]
    assert turns(samples)[-1][0] == "on-topic"


def test_a_turn_of_unknown_label_stays_in_the_history_and_is_no_sample() -> None:
    strange = {"role": "user", "content": "Something that stands nowhere else."}
    groups = [[strange], *PLAIN["conversation_with_distractors"]]
    samples, problems = to_samples(dialogue(conversation_with_distractors=groups))
    assert [p.reason for p in problems] == [Reason.UNLABELLED_TURN]
    assert problems[0].detail.startswith("turn 1 is neither")
    assert samples[0].history[0].content == strange["content"]
    assert strange["content"] not in {s.message for s in samples}


def test_a_dialogue_may_start_with_the_assistant_and_have_two_user_turns_in_a_row() -> None:
    conversation = [
        {"role": "assistant", "content": "Hello, what can I do for you today?"},
        {"role": "user", "content": "I have a question."},
        {"role": "user", "content": "It is about my account."},
    ]
    samples, _ = to_samples(dialogue(conversation=conversation, distractors=[], conversation_with_distractors=None))
    assert [len(s.history) for s in samples] == [1, 2]


def test_the_human_test_set_may_lack_fields(tmp_path: Path) -> None:
    short = {key: PLAIN[key] for key in ("system_instruction", "conversation", "distractors")}
    path = tmp_path / "canttalkaboutthis_topic_control_human_test_set.jsonl"
    path.write_text(json.dumps(short) + "\n", encoding="utf-8")
    loaded = load(tmp_path, split="test")
    assert Counter(s.topic for s in loaded.samples if isinstance(s, TopicControlSample)) == {
        "on-topic": 2,
        "off-topic": 1,
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"conversation": [], "conversation_with_distractors": None}, "conversation"),
        ({"conversation": float("nan"), "conversation_with_distractors": None, "distractors": []}, "conversation"),
        ({"conversation": [[]], "conversation_with_distractors": None, "distractors": None}, "conversation"),
        (
            {"conversation": PLAIN["conversation"][1:2], "conversation_with_distractors": [], "distractors": []},
            "conversation",
        ),
        ({"conversation": ["Hello"]}, "conversation"),
        ({"conversation_with_distractors": [[{"content": "x"}]]}, "conversation_with_distractors.role"),
        ({"conversation": "text"}, "conversation"),
        ({"conversation": [{"role": "user"}]}, "conversation.content"),
        ({"conversation": [{"role": "robot", "content": "x"}]}, "conversation.role"),
        ({"distractors": [{"bot_turn": "x", "distractor": "y"}]}, "bot turn"),
        ({"system_instruction": None}, "system_instruction"),
    ],
    ids=[
        "no turns",
        "nan",
        "an empty group",
        "assistant alone",
        "turn is text",
        "no role",
        "conversation is text",
        "no content",
        "another role",
        "underscore in the key",
        "null instruction",
    ],
)
def test_a_dialogue_that_cannot_be_used_names_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRow) as error:
        to_samples(dialogue(**changes))
    assert error.value.field == field


def test_a_line_cut_in_half_is_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_dialogues(tmp_path, [PLAIN])
    path = tmp_path / "canttalkaboutthis_topic_control_mixtral.jsonl"
    half = json.dumps(dialogue(domain="x"))[:200]
    path.write_bytes(path.read_bytes() + half.encode() + b"\n\n\xff\xfe\n")
    loaded = load(tmp_path)
    assert len(loaded.samples) == 3
    assert [(i.reason, i.row) for i in loaded.left_out] == [(Reason.INVALID_JSON, 2), (Reason.INVALID_JSON, 4)]
    assert json.loads(loaded.left_out[0].record) == half


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"distractors": LOST, "conversation_with_distractors": None}, "field 'distractors': distractor_unplaced"),
        ({"domain": 5}, "field 'domain': wrong_type"),
    ],
    ids=["distractor", "field"],
)
def test_strict_stops_at_the_dialogue_and_names_it(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    folder = write_dialogues(tmp_path, [PLAIN, dialogue(**changes)])
    with pytest.raises(UsageError) as error:
        load(folder, strict=True)
    assert "mixtral.jsonl, row 2, field" in str(error.value)
    assert said in str(error.value)


WORDS = st.sampled_from(
    ["Where is the nearest branch of the bank?", "Who won?", "Yes.", BOT, OFF, "And what does it cost to open one?"]
)
TURNS = st.lists(
    st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "assistant"]), WORDS)
)
PAIRS = st.lists(st.builds(lambda bot, text: {"bot turn": bot, "distractor": text}, WORDS, WORDS), max_size=4)


@given(conversation=TURNS, distractors=PAIRS)
def test_every_user_turn_and_every_distractor_is_a_sample_or_reported(
    conversation: list[dict[str, str]], distractors: list[dict[str, str]]
) -> None:
    row = dialogue(conversation=conversation, distractors=distractors, conversation_with_distractors=None)
    asked = sum(turn["role"] == "user" for turn in conversation)
    try:
        samples, problems = to_samples(row)
    except BadRow as bad:  # the whole dialogue is kept aside
        assert bad.reason is Reason.MISSING_FIELD
        assert asked == 0
        return
    assert {p.reason for p in problems} <= {Reason.DISTRACTOR_UNPLACED}
    count = Counter(s.topic for s in samples)
    assert count["on-topic"] == asked
    assert count["off-topic"] + len(problems) == len(distractors)
    assert [len(s.history) for s in samples] == sorted({len(s.history) for s in samples})


def long_dialogue() -> list[TopicControlSample]:
    conversation = []
    for n in range(6):
        conversation += [
            {"role": "user", "content": f"Question {n}?"},
            {"role": "assistant", "content": f"This is the answer with the number {n}."},
        ]
    pairs = [{"bot turn": f"This is the answer with the number {n}.", "distractor": f"Other {n}?"} for n in range(3)]
    changed = dialogue(conversation=conversation, distractors=pairs, conversation_with_distractors=None)
    return to_samples(changed)[0]


@pytest.mark.parametrize(
    ("rule", "on", "off"),
    [
        (Selection(), 6, 3),
        (Selection(rule="caps", on_topic=2, off_topic=1), 2, 1),
        (Selection(rule="caps", on_topic=0, off_topic=9), 0, 3),
        (Selection(rule="balanced"), 3, 3),
    ],
    ids=["all", "caps", "more than there are", "balanced"],
)
def test_selection_takes_what_its_rule_says_and_loses_nothing(rule: Selection, on: int, off: int) -> None:
    samples = long_dialogue()
    taken, others = select(samples, rule)
    assert Counter(s.topic for s in taken) == Counter({"on-topic": on, "off-topic": off})
    assert sorted(s.key for s in [*taken, *others]) == sorted(s.key for s in samples)
    assert taken == [s for s in samples if s in taken]


def test_selection_depends_on_the_seed_alone() -> None:
    samples = long_dialogue()
    picks = [[s.key for s in select(samples, Selection(rule="balanced", seed=n))[0]] for n in range(8)]
    assert picks[0] == [s.key for s in select(samples, Selection(rule="balanced", seed=0))[0]]
    assert len({tuple(p) for p in picks}) > 1


def test_what_is_not_selected_is_left_out_with_its_columns(tmp_path: Path) -> None:
    loaded = load(write_dialogues(tmp_path, [PLAIN]), select=Selection(rule="caps", on_topic=1, off_topic=0))
    assert len(loaded.samples) == 1
    assert [i.reason for i in loaded.left_out] == [Reason.NOT_SELECTED] * 2
    assert json.loads(loaded.left_out[0].record)["gt_topic_classification"] in {"on-topic", "off-topic"}


@pytest.mark.parametrize(
    "rule",
    [Selection(rule="caps", on_topic=1, off_topic=1, seed=3), Selection(rule="balanced", seed=3), Selection()],
    ids=["caps", "balanced", "all"],
)
def test_taken_and_left_out_turns_are_all_turns_each_time(tmp_path: Path, rule: Selection) -> None:
    folder = write_dialogues(tmp_path, [dialogue(system_instruction=f"Rules of branch {n}.") for n in range(5)])
    first, second, every = load(folder, select=rule), load(folder, select=rule), load(folder)
    assert (list(first.samples), first.left_out) == (list(second.samples), second.left_out)
    assert sorted([s.key for s in first.samples] + [i.key for i in first.left_out]) == sorted(
        s.key for s in every.samples
    )


def test_a_turn_that_the_version_with_distractors_lacks_is_reported() -> None:
    samples, problems = to_samples(dialogue(conversation_with_distractors=PLAIN["conversation"][:2], distractors=[]))
    assert len(samples) == 1
    assert [problem.reason for problem in problems] == [Reason.TURN_ABSENT]
