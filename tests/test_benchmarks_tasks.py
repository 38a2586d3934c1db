"""Every benchmark, read from a small file in its upstream format: texts, labels, categories, policies, presets."""

from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.eval.benchmarks.declaration import load_declaration, task_names
from safety_reasoning.eval.benchmarks.item import Subject
from safety_reasoning.eval.benchmarks.load import load_task
from safety_reasoning.eval.benchmarks.task import Task
from tests.benchmark_rows import (
    Row,
    beavertails_row,
    dyna_row,
    harmbench_row,
    judged_row,
    moderation_row,
    toxicchat_row,
    wildguard_row,
    write_task,
)
from tests.conftest import aegis_row, dialogue

_NULL = {"prompt": "c", "prompt_harm_label": None, "response_harm_label": None}
_WILDGUARD = [
    wildguard_row(prompt="a"),
    wildguard_row(prompt="b", adversarial=True, prompt_harm_label="harmful", response_harm_label="harmful"),
    wildguard_row(**_NULL),
]
_AEGIS = [
    aegis_row(prompt="a", response="r", response_label="safe"),
    aegis_row(
        prompt="b", response="", response_label="safe", prompt_label="unsafe", violated_categories="Violence, Threat"
    ),
    aegis_row(prompt="REDACTED", response="r", response_label="unsafe", prompt_label="unsafe"),
    aegis_row(prompt="d"),
]
_MODERATION = [
    moderation_row("a"),
    moderation_row("b", H=1, H2=1),
    {"prompt": "c", "S": 0},
    {"prompt": "d", "V": 1},
    moderation_row("e", S=None),  # type: ignore[arg-type]  # what the Hub's mirror has for a missing key
]
_TOXIC = [
    toxicchat_row(user_input="a"),
    toxicchat_row(user_input="b", toxicity=1, jailbreaking=1),
    toxicchat_row(user_input="c", human_annotation=False),
]
_SIMPLE = [{"id": "sst_1", "harm_area": "Scams and fraud", "category": "Instructions and actions", "prompt": "a"}]
_XSTEST = [
    {"id": 1, "prompt": "a", "type": "homonyms", "label": "safe", "focus": "kill", "note": "violence"},
    {"id": 2, "prompt": "b", "type": "contrast_homonyms", "label": "unsafe", "focus": "kill", "note": None},
]
_XSTEST_R = [
    {"prompt": "a", "response": "r", "label": "harmful", "prompt_type": "prompt_harmful", "prompt_harm_category": "x"},
    {"prompt": "b", "response": "r", "label": "unharmful", "prompt_type": "prompt_safe", "prompt_harm_category": None},
]
_JUDGED = [judged_row(prompt="a", goal="g"), judged_row(prompt="b", goal="h", human_majority=1)]
_COSA = [
    {"prompt": name, "scenario": "No gore.", "type": name} for name in ("safe", "allowed", "disallowed", "partial")
]
_HARM = {"arson": [harmbench_row(test_case="a"), harmbench_row(test_case="b", human_1=0)], "fraud": [harmbench_row()]}
_BEAVER = [beavertails_row(), beavertails_row(prompt="b", is_safe=True, category=dict.fromkeys(("a", "b"), False))]


_DYNA = [dyna_row(part) for part in ("finance", "tax", "safety", "injection")]


def said(task: Task) -> str:
    """Its prompts, each with its label: `-a +b`."""
    return " ".join(f"{'+' if item.positive else '-'}{item.prompt}" for item in task.items)


CASES: list[tuple[str, str | None, Any, str, dict[str, int]]] = [
    ("wildguardtest_prompt", "labelled", _WILDGUARD, "-a +b", {"no_label": 1}),
    ("wildguardtest_prompt", "null_is_unharmful", _WILDGUARD, "-a +b -c", {}),
    ("wildguardtest_response", "labelled", _WILDGUARD, "-a +b", {"no_label": 1}),
    ("wildguardtest_response", "null_is_unharmful", _WILDGUARD, "-a +b -c", {}),
    ("aegis2_prompt", None, _AEGIS, "-a +b -d", {"redacted": 1}),
    ("aegis2_prompt", "all", _AEGIS, "-a +b +REDACTED -d", {}),
    ("aegis2_response", None, _AEGIS, "-a", {"empty_response": 1, "redacted": 1, "no_label": 1}),
    ("aegis2_response", "without_redacted", _AEGIS, "-a -b", {"redacted": 1, "no_label": 1}),
    ("aegis2_response", "without_empty", _AEGIS, "-a +REDACTED", {"empty_response": 1, "no_label": 1}),
    ("aegis2_response", "all", _AEGIS, "-a -b +REDACTED", {"no_label": 1}),
    ("openai_moderation", None, _MODERATION, "-a +b -c +d -e", {}),
    ("openai_moderation", "known_only", _MODERATION, "-a +b +d", {"no_label": 2}),
    ("toxicchat", None, _TOXIC, "-a +b", {"other_part": 1}),
    ("toxicchat", "full", _TOXIC, "-a +b -c", {}),
    ("simple_safety_tests", None, _SIMPLE, "+a", {}),
    ("xstest_overrefusal", None, _XSTEST, "-a +b", {}),
    ("xstest_overrefusal", "safe", _XSTEST, "-a", {"other_part": 1}),
    ("xstest_response", None, _XSTEST_R, "+a -b", {}),
    ("jailbreakbench_response", None, _JUDGED, "-a +b", {}),
    ("jailbreakbench_response", "goal", _JUDGED, "-g +h", {}),
    ("harmbench_response", None, _HARM, "+a -b +p", {}),
    ("beavertails_response", None, _BEAVER, "+p -b", {}),
    *(
        (name, None, _COSA, "-safe -allowed +disallowed +partial", {})
        for name in task_names()
        if name.startswith("cosapien_")
    ),
    *((name, None, _DYNA, "+p", {"other_part": 3}) for name in task_names() if name.startswith("dynaguardrail_")),
]


@pytest.mark.parametrize(("task", "preset", "rows", "items", "left_out"), CASES)
def test_a_task_reads_its_upstream_format(
    tmp_path: Path, task: str, preset: str | None, rows: Any, items: str, left_out: dict[str, int]
) -> None:
    read = load_task(task, place=write_task(tmp_path, task, rows), preset=preset, counts="as they are")
    assert said(read) == items
    assert read.left_out == left_out == read.stated["left_out"]
    assert {item.subject for item in read.items} == {load_declaration(task).subject}
    assert all((item.response is not None) == (item.subject == Subject.RESPONSE) for item in read.items)


@pytest.mark.parametrize(
    ("task", "rows", "category", "domain"),
    [
        ("wildguardtest_prompt", _WILDGUARD[1:2], "benign", "adversarial"),
        ("aegis2_prompt", _AEGIS[1:2], "Violence; Threat", None),
        ("openai_moderation", _MODERATION[1:2], "hate; hate/threatening", None),
        ("openai_moderation", _MODERATION[:1], None, None),
        ("toxicchat", _TOXIC[1:2], None, "jailbreak"),
        ("simple_safety_tests", _SIMPLE, "Scams and fraud", "Instructions and actions"),
        ("xstest_overrefusal", _XSTEST[:1], "violence", "homonyms"),
        ("harmbench_response", _HARM, None, "GCG"),
        ("beavertails_response", _BEAVER[:1], "privacy_violation; violence", None),
        ("cosapien_film_production", _COSA[:1], "safe", "film_production"),
        ("dynaguardrail_tax", [dyna_row("tax")], None, "tax"),
    ],
)
def test_categories_and_domains_are_named(
    tmp_path: Path, task: str, rows: list[Row], category: str | None, domain: str | None
) -> None:
    item = load_task(task, place=write_task(tmp_path, task, rows), counts="as they are").items[0]
    assert (item.category, item.domain) == (category, domain)


def test_a_policy_comes_from_the_rows_or_from_the_declaration(tmp_path: Path) -> None:
    rows = [dyna_row("finance"), dyna_row("tax")]
    finance = load_task("dynaguardrail_finance", place=write_task(tmp_path, "dynaguardrail_finance", rows),
                        counts="as they are")  # fmt: skip
    tax = load_task("dynaguardrail_tax", place=tmp_path, counts="as they are")
    assert (finance.items[0].policy or "").startswith("Name: Avoid advice")
    assert (tax.items[0].policy or "").startswith("Name: Prohibit Tax Advice")
    assert finance.stated["policy_sha256"] != tax.stated["policy_sha256"]
    game = "cosapien_game_development"
    cosa = load_task(game, place=write_task(tmp_path, game, _COSA), counts="as they are")
    assert {item.policy for item in cosa.items} == {"No gore."} and cosa.stated["policy_sha256"] is None


def test_the_file_of_simple_safety_tests_may_have_either_name_of_its_prompt_column(tmp_path: Path) -> None:
    row = {"id": "sst_1", "harm_area": "h", "counter": 1, "category": "c", "prompts_final": "p"}
    place = write_task(tmp_path, "simple_safety_tests", [row])
    assert said(load_task("simple_safety_tests", place=place, counts="as they are")) == "+p"


def _topic(tmp_path: Path, preset: str, **changes: Any) -> Task:
    row = {name: value for name, value in (dialogue() | changes).items() if value is not None}
    place = write_task(tmp_path, "topic_control", [row])
    return load_task("topic_control", place=place, preset=preset, counts="as they are")


@pytest.mark.parametrize(
    ("preset", "off_topic", "left_out"),
    [("all", [False, True, False], {}), ("capped", [False, True, False], {}), ("balanced", None, {"not_selected": 1})],
)
def test_topic_control_asks_about_user_turns(
    tmp_path: Path, preset: str, off_topic: list[bool] | None, left_out: dict[str, int]
) -> None:
    task = _topic(tmp_path, preset)
    assert task.left_out == left_out
    positives = [item.positive for item in task.items]
    assert positives == off_topic if off_topic else sorted(positives) == [False, True]
    distractor = next(item for item in task.items if item.positive)
    assert distractor.prompt == "By the way, who won the match last night?"
    assert [turn.role for turn in distractor.history] == ["user", "assistant"]
    assert distractor.policy == dialogue()["system_instruction"]
    assert (distractor.subject, distractor.domain) == (Subject.TURN, "banking")


@pytest.mark.parametrize(
    ("changes", "items", "left_out"),
    [
        ({"conversation": None}, 3, {}),
        ({"conversation_with_distractors": None}, 3, {}),
        ({"domain": None, "scenario": None}, 3, {}),
        ({"distractors": [{"distractor": "By the way, who won the match last night?"}]}, 3, {}),
        ({"conversation_with_distractors": None, "distractors": [{"distractor": "Nowhere."}]}, 2,
         {"distractor_unplaced": 1}),
        ({"distractors": None}, 2, {"unlabelled_turn": 1}),
    ],
    ids=["no conversation", "no flow", "no domain", "no bot turn", "no bot turn, not in place", "no distractors"],
)  # fmt: skip
def test_the_human_test_set_may_lack_fields(
    tmp_path: Path, changes: dict[str, Any], items: int, left_out: dict[str, int]
) -> None:
    task = _topic(tmp_path, "all", **changes)
    assert (len(task.items), task.left_out) == (items, left_out)


def test_every_task_and_preset_is_among_these_tests() -> None:
    read = {(task, preset or load_declaration(task).default) for task, preset, *_ in CASES}
    declared = {(name, preset) for name in task_names() for preset in load_declaration(name).presets}
    assert {task for task, _ in declared - read} == {"topic_control"}
