"""The published release: both files, every spelling."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety_reasoning.builders.left_out import Reason
from safety_reasoning.builders.recipe import SourceRecipe
from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.release import record_columns
from safety_reasoning.builders.samples import TopicControlSample, Turn, topic_control_key
from safety_reasoning.builders.sources.aegis import to_sample
from safety_reasoning.builders.sources.load import Loaded, load_sources
from safety_reasoning.builders.sources.published import to_record
from safety_reasoning.schemas.columns import JSONL_FILE, Naming, Task
from tests.conftest import aegis_row


def content_row(**changes: Any) -> dict[str, Any]:
    return (
        aegis_row()
        | {
            "prompt_harm_label": "unharmful",
            "response_harm_label": None,
            "safety_reasoning_qwen3_32b": "It asks about kitchen tools.",
            "efficient_reasoning_qwen3_32b": "Kitchen tools.",
            "prediction_gt_mismatch_qwen3_32b": False,
        }
        | changes
    )


def topic_row(**changes: Any) -> dict[str, Any]:
    return {
        "system_instruction": "Speak about bread.",
        "conversation_history": [{"role": "user", "content": "Hello"}],
        "last_user_message": "Who won?",
        "gt_topic_classification": "off-topic",
        "safety_reasoning_trace_qwen3_32b": "Sport is not bread.",
        "efficient_reasoning_trace_qwen3_32b": "Sport.",
        "prediction_gt_mismatch_qwen3_32b": False,
    } | changes


def load(folder: Path, task: Task, *rows: dict[str, Any]) -> Loaded:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / JSONL_FILE[task]).write_text(text, encoding="utf-8")
    return load_sources((SourceRecipe(kind="published", path=str(folder)),))


def test_both_files_are_read(tmp_path: Path) -> None:
    (tmp_path / JSONL_FILE[Task.TOPIC_CONTROL]).write_text(json.dumps(topic_row()) + "\n", encoding="utf-8")
    loaded = load(tmp_path, Task.CONTENT_SAFETY, content_row())
    assert [r.sample.task for r in loaded.records] == [Task.CONTENT_SAFETY, Task.TOPIC_CONTROL]
    assert [f.ignored_columns for f in loaded.files] == [(), ()]


@pytest.mark.parametrize(
    "prefix",
    [
        "efficient_reasoning_",
        "efficient_safety_reasoning_trace_",
        "efficient_reasoning_trace_",
        "efficient_safety_reasoning_",
    ],
)
@pytest.mark.parametrize("full", ["safety_reasoning_", "safety_reasoning_trace_"])
@pytest.mark.parametrize("task", list(Task))
def test_every_column_spelling_gives_the_same_traces(tmp_path: Path, task: Task, prefix: str, full: str) -> None:
    row = content_row() if task is Task.CONTENT_SAFETY else topic_row()
    row = {key: value for key, value in row.items() if "qwen3_32b" not in key}
    row |= {
        f"{full}gpt_oss_120b": "Long.",
        f"{prefix}gpt_oss_120b": "Short.",
        "prediction_gt_mismatch_gpt_oss_120b": True,
    }
    (record,) = load(tmp_path, task, row).records
    assert record.traces == {"gpt_oss_120b": TeacherTraces(full="Long.", efficient="Short.", mismatch=True)}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<think>\nIt asks.\n</think>\n", "It asks."),
        ("It asks.\n</think>", "It asks."),
        ("<think>It asks.", "It asks."),
        ("<think></think>", None),
        (" ", None),
    ],
    ids=["both tags", "closing tag", "opening tag", "nothing in them", "white space"],
)
@pytest.mark.parametrize("column", ["safety_reasoning_qwen3_32b", "efficient_reasoning_qwen3_32b"])
def test_think_tags_around_a_trace_are_removed(tmp_path: Path, column: str, written: str, read: str | None) -> None:
    (record,) = load(tmp_path, Task.CONTENT_SAFETY, content_row(**{column: written})).records
    traces = record.traces["qwen3_32b"]
    assert (traces.full if column.startswith("safety") else traces.efficient) == read


def test_a_null_column_hides_no_other_spelling_of_it(tmp_path: Path) -> None:
    row = content_row(efficient_safety_reasoning_trace_qwen3_32b=None)
    (record,) = load(tmp_path, Task.CONTENT_SAFETY, row).records
    assert record.traces["qwen3_32b"].efficient == "Kitchen tools."


def test_columns_of_no_teacher_are_named(tmp_path: Path) -> None:
    row = topic_row(domain="banking", safety_reasoning_Qwen3="x")
    assert load(tmp_path, Task.TOPIC_CONTROL, row).files[0].ignored_columns == ("domain", "safety_reasoning_Qwen3")


def test_a_release_of_wildguardmix_rows_is_read_too(tmp_path: Path) -> None:
    row = content_row(prompt_label_source=None, violated_categories="fraud")
    (record,) = load(tmp_path, Task.CONTENT_SAFETY, row).records
    assert record_columns(record, Task.CONTENT_SAFETY, "published") == row


@pytest.mark.parametrize("flag", [None, float("nan")], ids=["null", "nan"])
def test_null_nan_and_missing_parts_of_a_teacher_are_none(tmp_path: Path, flag: object) -> None:
    row = content_row(safety_reasoning_qwen3_32b=float("nan"), prediction_gt_mismatch_qwen3_32b=flag)
    del row["efficient_reasoning_qwen3_32b"]
    (record,) = load(tmp_path, Task.CONTENT_SAFETY, row).records
    assert record.traces["qwen3_32b"] == TeacherTraces(full=None, efficient=None, mismatch=None)


def test_a_redacted_prompt_needs_no_reconstruction_here(tmp_path: Path) -> None:
    row = content_row(prompt="REDACTED", reconstruction_id_if_redacted=7.0)
    assert len(load(tmp_path, Task.CONTENT_SAFETY, row).records) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt_harm_label": "harmful"}, Reason.CONTRADICTORY_LABELS),
        ({"response_harm_label": "harmful"}, Reason.CONTRADICTORY_LABELS),
        ({"prediction_gt_mismatch_qwen3_32b": "false"}, Reason.WRONG_TYPE),
        ({"prediction_gt_mismatch_qwen3_32b": 0}, Reason.WRONG_TYPE),
        ({"safety_reasoning_qwen3_32b": "\ud800"}, Reason.NOT_UNICODE),
    ],
)
def test_a_bad_row_is_kept_aside(tmp_path: Path, changes: dict[str, Any], reason: Reason) -> None:
    loaded = load(tmp_path, Task.CONTENT_SAFETY, content_row(id="1"), content_row(**changes))
    assert [i.reason for i in loaded.left_out] == [reason]
    assert len(loaded.records) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gt_topic_classification": "Off-topic"}, "unknown_label gt_topic_classification"),
        ({"conversation_history": "Hello"}, "wrong_type conversation_history"),
        ({"conversation_history": [{"role": "user"}]}, "missing_field content"),
        ({"last_user_message": None}, "wrong_type last_user_message"),
        ({"prediction_gt_mismatch_qwen3_32b": 1.0}, "wrong_type prediction_gt_mismatch_qwen3_32b"),
    ],
    ids=["label", "history", "turn", "message", "flag"],
)
def test_a_bad_topic_row_is_kept_aside(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    loaded = load(tmp_path, Task.TOPIC_CONTROL, topic_row(), topic_row(**changes))
    assert [f"{i.reason} {i.detail.split(':')[0]}" for i in loaded.left_out] == [said]
    assert len(loaded.records) == 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TRACE = st.none() | TEXT.map(str.strip).filter(lambda t: t and "think>" not in t)
TRACES = st.dictionaries(
    st.from_regex(r"[a-su-z][a-z0-9_]{0,8}", fullmatch=True),
    st.builds(TeacherTraces, full=TRACE, efficient=TRACE, mismatch=st.sampled_from([True, False, None])),
    min_size=1,
    max_size=3,
)
CONTENT = st.builds(
    lambda i, p, r: to_sample(aegis_row(id=i, prompt=p, response=r), None), TEXT, TEXT, st.none() | TEXT
)


@st.composite
def topics(draw: st.DrawFn) -> TopicControlSample:
    history = tuple(Turn("user", text) for text in draw(st.lists(TEXT, max_size=3)))
    instruction, message = draw(TEXT), draw(TEXT)
    return TopicControlSample(
        key=topic_control_key(instruction, history, message),
        system_instruction=instruction,
        history=history,
        message=message,
        topic=draw(st.sampled_from(["on-topic", "off-topic"])),
        domain="",
    )


@given(sample=CONTENT | topics(), traces=TRACES, naming=st.sampled_from(["card", "published"]))
def test_any_record_comes_back_from_its_line(sample: Any, traces: dict[str, TeacherTraces], naming: Naming) -> None:
    record = Record(sample=sample, traces=traces)
    line = json.dumps(record_columns(record, sample.task, naming), ensure_ascii=False)
    assert to_record(json.loads(line), sample.task) == record
