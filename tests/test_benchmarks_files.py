"""Files that are not what their benchmark declares: columns, counts, damaged and hostile rows, repeated texts."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.load import load_task
from tests.benchmark_rows import Row, beavertails_row, judged_row, moderation_row, wildguard_row, write, write_task
from tests.conftest import aegis_row

HOSTILE = "{braces} {{ jinja }} <script>x</script> </think> \u202eright to left \x07"


def refusal(task: str, place: Path, **options: Any) -> UsageError:
    with pytest.raises(UsageError) as refused:
        load_task(task, place=place, **options)
    return refused.value


def test_other_counts_than_declared_are_refused_in_words(tmp_path: Path) -> None:
    rows = [{"id": str(n), "harm_area": "h", "category": "c", "prompt": f"prompt {n}"} for n in range(99)]
    refused = refusal("simple_safety_tests", write(tmp_path / "mine.csv", rows))
    assert "mine.csv has other counts than simple_safety_tests declares for its preset all" in refused.what
    assert refused.why == "99 rows in the file, not 100; 99 labelled rows, not 100; 99 positive rows, not 100"
    assert 'counts = "as they are"' in refused.fix and "--as-they-are" in refused.fix


def test_a_file_with_the_declared_counts_is_taken(tmp_path: Path) -> None:
    rows = [{"id": str(n), "harm_area": "h", "category": "c", "prompt": f"prompt {n}"} for n in range(100)]
    task = load_task("simple_safety_tests", place=write(tmp_path / "mine.csv", rows))
    assert (len(task.items), task.stated["differences"], task.left_out) == (100, [], {})


def test_a_label_that_flips_changes_the_count_of_positives(tmp_path: Path) -> None:
    rows = [{"prompt": str(n), "type": "t", "label": "unsafe" if n < 201 else "safe", "note": ""} for n in range(450)]
    assert refusal("xstest_overrefusal", write(tmp_path / "x.csv", rows)).why == "201 positive rows, not 200"


def test_a_difference_is_stated_where_it_is_allowed(tmp_path: Path) -> None:
    place = write(tmp_path / "mine.csv", [judged_row(prompt="a"), judged_row(prompt="b", human_majority=1)])
    stated = load_task("jailbreakbench_response", place=place, counts="as they are").stated
    assert stated["differences"] == ["2 rows in the file, not 300", "2 labelled rows, not 300"]
    assert stated["expected"] == {"file_rows": 300, "rows": 300, "positives": None}
    assert stated["counted"] == {"file_rows": 2, "rows": 2, "positives": 1}


@pytest.mark.parametrize(
    ("task", "row", "lacks"),
    [
        ("jailbreakbench_response", {"prompt": "p", "human_majority": 1}, "target_response"),
        ("jailbreakbench_response", {"prompt": "p", "target_response": "r"}, "human_majority"),
        ("simple_safety_tests", {"text": "p", "harm_area": "h", "category": "c"}, "prompt or prompts_final"),
        ("toxicchat", {"user_input": "p", "toxicity": 1}, "human_annotation"),
        ("cosapien_film_production", {"prompt": "p", "type": "safe"}, "scenario"),
        ("dynaguardrail_tax", {"prompt": "p", "label": "safe"}, "dataset_type"),
        ("openai_moderation", {"prompt": "p"}, "S or H or V or HR or SH or S3 or H2 or V2"),
        ("topic_control", {"system_instruction": "s"}, "conversation or conversation_with_distractors"),
    ],
)
def test_a_column_that_no_row_has_is_named(tmp_path: Path, task: str, row: dict[str, Any], lacks: str) -> None:
    refused = refusal(task, write(tmp_path / "rows.jsonl", [row, row]), counts="as they are")
    assert refused.what.endswith(f"is no file of {task}: it lacks the column {lacks}")
    assert all(repr(column) in refused.why for column in row)


def test_columns_of_breakdowns_may_lack_and_that_is_said(tmp_path: Path) -> None:
    place = write(tmp_path / "rows.jsonl", [{"prompt": "p", "extra": [1], "\ud800": None}])
    stated = load_task("simple_safety_tests", place=place, counts="as they are").stated
    assert stated["no_breakdown_by"] == ["harm_area", "category"]


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path: Path) -> None:
    good = [aegis_row(prompt=HOSTILE), aegis_row(prompt=""), aegis_row(prompt="x" * 3_000_000, prompt_label="unsafe")]
    bad: list[Any] = [
        *("text", 7, None, [aegis_row()]),
        aegis_row(prompt=None),
        aegis_row(prompt=["a"]),
        aegis_row(prompt="\ud800 alone"),
        aegis_row(prompt="b", violated_categories="\udfff"),
        aegis_row(prompt="c", prompt_label="Unsafe"),
        aegis_row(prompt="d", prompt_label={"label": "unsafe"}),
        aegis_row(prompt="e", prompt_label=float("nan")),
        aegis_row(prompt="f", prompt_label=None),
    ]
    place = write(tmp_path / "test.json", [*bad, *good])
    task = load_task("aegis2_prompt", place=place, counts="as they are")
    assert [(item.prompt, item.positive) for item in task.items[:2]] == [(HOSTILE, False), ("", False)]
    assert len(task.items) == 3 and task.items[2].positive
    assert task.left_out == {
        "not_an_object": 4,
        "wrong_type": 2,
        "not_unicode": 2,
        "unknown_label": 2,
        "no_label": 2,
    }
    assert len(task.items) + sum(task.left_out.values()) == task.stated["counted"]["file_rows"]
    refused = refusal("aegis2_prompt", place)
    assert "the first that cannot be read: row 1: not_an_object: expected an object, found str" in refused.why


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("beavertails_response", beavertails_row(category={"\ud800": True})),
        ("wildguardtest_prompt", wildguard_row(adversarial="\ud800")),
        ("cosapien_film_production", {"prompt": "p", "scenario": "\ud800", "type": "safe"}),
    ],
    ids=["category", "domain", "policy"],
)
def test_what_cannot_be_written_as_utf_8_is_left_out_wherever_it_stands(tmp_path: Path, task: str, row: Row) -> None:
    assert "(left out: 1 × not_unicode;" in refusal(task, write(tmp_path / "x.jsonl", [row]), counts="as they are").why


def test_a_line_that_is_no_json_is_counted(tmp_path: Path) -> None:
    lines = [json.dumps(moderation_row("a")), "{torn", json.dumps(moderation_row("b", S=1)), json.dumps({"S": 2})]
    (tmp_path / "x.jsonl").write_text("\n".join(lines), encoding="utf-8")
    task = load_task("openai_moderation", place=tmp_path / "x.jsonl", counts="as they are")
    assert [item.prompt for item in task.items] == ["a", "b"]
    assert task.left_out == {"invalid_json": 1, "unknown_label": 1}


@pytest.mark.parametrize(
    ("labels", "items", "left_out"),
    [
        ([0, 0, 1, 1], [], {"contradictory_labels": 4}),
        ([1, 1, 1], [True], {"duplicate": 2}),
        ([0], [False], {}),
    ],
)
def test_equal_texts_are_one_item_and_torn_ones_none(
    tmp_path: Path, labels: list[int], items: list[bool], left_out: dict[str, int]
) -> None:
    rows = [judged_row(prompt="a", human_majority=label) for label in labels] + [judged_row(prompt="other")]
    task = load_task("jailbreakbench_response", place=write(tmp_path / "x.csv", rows), counts="as they are")
    assert [item.positive for item in task.items] == [*items, False]
    assert task.left_out == left_out
    assert task.stated["counted"]["rows"] == len(labels) + 1  # what upstream counts, repeated rows among them


def test_equal_prompts_with_other_responses_are_two_items(tmp_path: Path) -> None:
    rows = [judged_row(target_response="r"), judged_row(target_response="s")]
    task = load_task("jailbreakbench_response", place=write(tmp_path / "x.csv", rows), counts="as they are")
    assert len({item.key for item in task.items}) == 2


def test_a_label_without_a_response_is_left_out(tmp_path: Path) -> None:
    rows = [aegis_row(response_label="safe"), aegis_row(response="r", response_label="safe")]
    task = load_task("aegis2_response", place=write(tmp_path / "test.json", rows), counts="as they are")
    assert (len(task.items), task.left_out) == (1, {"label_without_response": 1})


def test_the_same_rows_in_every_format_are_the_same_items(tmp_path: Path) -> None:
    rows = [judged_row(prompt="a"), judged_row(prompt="b", human_majority=1)]
    read = [
        load_task("jailbreakbench_response", place=write(tmp_path / f"x{suffix}", rows), counts="as they are")
        for suffix in (".csv", ".json", ".jsonl", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz")
    ]
    assert all(task.items == read[0].items for task in read)
    assert len({task.stated["sha256"] for task in read}) == len(read)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.json", b'[{"prompt": "a"}, {"pro', "the array is cut or damaged"),
        ("x.json", b'{"prompt": "a"}', "the file does not start with '['"),
        ("x.jsonl", b"", "the file is empty"),
        ("x.parquet", b"PAR1 not really", "it is not a .parquet file"),
        ("x.csv", b'a,b\n"1,2\n3', "it is not a .csv file"),
        ("x.jsonl.gz", b"no gzip", "is not a whole gzip file"),
        ("x.jsonl.gz", gzip.compress(b'{"prompt": "a"}\n' * 99)[:-9], "is not a whole gzip file"),
        ("x.xlsx", b"PK", "is of no format that is read"),
        ("x.jsonl", b'{"prompt": "\xff"}\n', "gives no item of simple_safety_tests"),
    ],
    ids=["cut array", "object", "empty", "parquet", "csv", "no gzip", "cut gzip", "xlsx", "no utf-8"],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    refused = refusal("simple_safety_tests", tmp_path / name, counts="as they are")
    assert says in f"{refused.what} {refused.why}" and name in refused.what


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"[1]", "is not an object of lists"), (b'{"a": [', "is not JSON"), (b"[" * 99_999, "is not JSON")],
)
def test_a_nested_file_is_an_object_of_lists(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert says in refusal("harmbench_response", tmp_path / "x.json").what


def test_a_group_that_is_no_list_is_counted(tmp_path: Path) -> None:
    votes = {"human_0": 0, "human_1": 0, "human_2": None}
    rows: Any = {"a": 7, "b": [3, {"test_case": "p", "generation": "r"} | votes], "c": []}
    good = {"d": [{"test_case": "p", "generation": "r"} | votes | {"human_2": 1}]}
    task = load_task("harmbench_response", place=write(tmp_path / "x.json", rows | good), counts="as they are")
    assert (len(task.items), task.left_out) == (1, {"not_an_object": 2, "no_label": 1})


def test_no_row_of_a_task_is_an_error_even_where_counts_are_free(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "label": "safe", "dataset_type": "tax"}]
    place = write_task(tmp_path, "dynaguardrail_finance", rows)
    refused = refusal("dynaguardrail_finance", place, counts="as they are")
    assert (refused.what.endswith("gives no item of dynaguardrail_finance"), refused.why) == (
        True,
        "no row can be used (left out: 1 × other_part)",
    )


def test_rows_that_contradict_each_other_are_told_where_no_item_is_left(tmp_path: Path) -> None:
    rows = [judged_row(prompt="a", human_majority=label) for label in (0, 1)]
    place = write(tmp_path / "x.csv", rows)
    assert "2 × contradictory_labels" in refusal("jailbreakbench_response", place, counts="as they are").why


@pytest.mark.parametrize("below", ["round0/30k/test.jsonl.gz", "test.jsonl.gz", "test.jsonl"])
def test_a_folder_holds_the_file_under_its_upstream_name(tmp_path: Path, below: str) -> None:
    write(tmp_path / below, [{"prompt": "p", "response": "r", "is_safe": False, "category": {"a": True}}])
    task = load_task("beavertails_response", place=tmp_path, counts="as they are")
    assert task.stated["source"] == f"local file {Path(below).name}" and task.stated["revision"] is None
    assert str(tmp_path) not in json.dumps(dict(task.stated))


def test_a_place_without_the_file_is_refused(tmp_path: Path) -> None:
    assert "holds no round0/30k/test.jsonl.gz" in refusal("beavertails_response", tmp_path).what
    assert "does not exist" in refusal("beavertails_response", tmp_path / "gone").what


def test_unknown_names_are_refused_with_those_that_there_are(tmp_path: Path) -> None:
    assert "wildguardtest_prompt" in refusal("wildguard", tmp_path).fix
    refused = refusal("toxicchat", tmp_path, preset="some")
    assert (refused.what, refused.fix) == ("toxicchat has no preset 'some'", "use one of: annotated, full")
