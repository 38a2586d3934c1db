"""Validation: every way to be wrong, with file, line, pointer and what was expected."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.schemas.columns import JSONL_FILE, Task, teacher_columns, teacher_of, teachers_in
from safety_reasoning.schemas.features import arrow_schema, features, polars_schema
from safety_reasoning.schemas.folder import validate
from safety_reasoning.schemas.record import general_schema, record_schema
from tests.conftest import (
    LiveTeacher,
    Run,
    aegis_row,
    dialogue,
    openai_teacher,
    write_aegis,
    write_dialogues,
    write_recipe,
)


def content_record(**changes: Any) -> dict[str, Any]:
    row = aegis_row() | {"prompt_harm_label": "unharmful", "response_harm_label": None}
    order = record_schema(Task.CONTENT_SAFETY, ["a"])["properties"]
    row |= {
        "safety_reasoning_a": "It asks about tools.",
        "efficient_safety_reasoning_trace_a": "Tools.",
        "prediction_gt_mismatch_a": False,
    }
    return {name: row[name] for name in order} | changes


def topic_record(**changes: Any) -> dict[str, Any]:
    return {
        "system_instruction": "Speak about bread.",
        "conversation_history": [{"role": "user", "content": "Hello"}],
        "last_user_message": "Who won?",
        "gt_topic_classification": "off-topic",
        "safety_reasoning_trace_a": "Sport is not bread.",
        "efficient_reasoning_trace_a": None,
        "prediction_gt_mismatch_a": None,
    } | changes


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def told(path: Path, **options: Any) -> list[tuple[int, str, str]]:
    return [(v.line, v.pointer, v.expected) for v in validate(str(path), **options).violations]


def without(record: dict[str, Any], *columns: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in columns}


@pytest.mark.parametrize("record", [content_record(), topic_record()], ids=["content", "topic"])
def test_a_valid_record_has_no_violations(tmp_path: Path, record: dict[str, Any]) -> None:
    report = validate(str(write(tmp_path / "x.jsonl", record)))
    assert (report.total, list(report.records.values())) == (0, [1])


CONTENT: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "label in capitals": ({"prompt_label": "Safe"}, [("/prompt_label", 'one of "safe", "unsafe"')]),
    "null label": (
        {"prompt_harm_label": None},
        [
            ("/prompt_harm_label", "string, not null"),
            ("/prompt_harm_label", 'one of "harmful", "unharmful"'),
            ("/prompt_harm_label", "'unharmful', which is what prompt_label says"),
        ],
    ),
    "a list for a label": (
        {"prompt_label": ["safe"]},
        [("/prompt_label", "string, not array"), ("/prompt_label", 'one of "safe", "unsafe"')],
    ),
    "a column that a pointer must escape": ({"a/b~c": 1}, [("/a~1b~0c", "no such field")]),
    "number for text": ({"prompt": 5}, [("/prompt", "string, not integer")]),
    "text for a flag": (
        {"prediction_gt_mismatch_a": "no"},
        [("/prediction_gt_mismatch_a", "boolean or null, not string")],
    ),
    "an id beyond 64 bits": (
        {"reconstruction_id_if_redacted": 2**63},
        [("/reconstruction_id_if_redacted", "maximum 9223372036854775807")],
    ),
    "empty id": ({"id": ""}, [("/id", "minLength 1")]),
    "extra column": ({"notes": "x"}, [("/notes", "no such field")]),
    "labels disagree": (
        {"prompt_harm_label": "harmful"},
        [("/prompt_harm_label", "'unharmful', which is what prompt_label says")],
    ),
    "label without response": (
        {"response_label": "safe", "response_harm_label": "unharmful"},
        [("/response_label", "null, since the response is null")],
    ),
    "efficient without full": (
        {"safety_reasoning_a": None},
        [("/efficient_safety_reasoning_trace_a", "null, since there is no full trace of a")],
    ),
    "verdict line": (
        {"safety_reasoning_a": "x\nPrompt harm: harmful"},
        [("/safety_reasoning_a", "a trace without verdict_line")],
    ),
    "think tag": ({"safety_reasoning_a": "<think>x"}, [("/safety_reasoning_a", "a trace without think_tag")]),
    "lone surrogate": ({"prompt": "x\ud800"}, [("/prompt", "text without lone surrogates")]),
}


@pytest.mark.parametrize(("changes", "expected"), CONTENT.values(), ids=CONTENT.keys())
def test_a_broken_content_record_says_where_and_what(
    tmp_path: Path, changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    path = write(tmp_path / "x.jsonl", content_record(id="first"), content_record(**changes))
    assert sorted(told(path)) == sorted((2, pointer, text) for pointer, text in expected)


TOPIC: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "role": (
        {"conversation_history": [{"role": "robot", "content": "x"}]},
        ("/conversation_history/0/role", 'one of "user", "assistant", "system"'),
    ),
    "turn lacks content": (
        {"conversation_history": [{"role": "user"}]},
        ("/conversation_history/0/content", "the field to be there"),
    ),
    "history is text": ({"conversation_history": "x"}, ("/conversation_history", "array, not string")),
    "label": ({"gt_topic_classification": "off topic"}, ("/gt_topic_classification", 'one of "on-topic", "off-topic"')),
    "bare verdict line": (
        {"safety_reasoning_trace_a": "so\noff-topic"},
        ("/safety_reasoning_trace_a", "a trace without verdict_line"),
    ),
}


@pytest.mark.parametrize(("changes", "expected"), TOPIC.values(), ids=TOPIC.keys())
def test_a_broken_topic_record_says_where_and_what(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    path = write(tmp_path / "x.jsonl", topic_record(last_user_message="y"), topic_record(**changes))
    assert told(path) == [(2, *expected)]


def test_every_missing_column_is_named_once(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.jsonl", content_record(id="first"), without(content_record(), "id", "violated_categories")
    )
    assert sorted(told(path)) == [
        (2, "/id", "the field to be there"),
        (2, "/violated_categories", "the field to be there"),
    ]


def test_the_same_interaction_twice_names_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", content_record(), content_record(response=""), content_record())
    assert told(path) == [(3, "", "an interaction of its own, not that of line 1")]


def test_a_line_that_is_no_record_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", content_record())
    half = json.dumps(content_record(id="2"))[:100]
    path.write_text(f"{half}\n[1]\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    report = validate(str(path))
    assert [(v.line, v.expected) for v in report.violations] == [
        (1, "a line that is one JSON object in UTF-8"),
        (2, "an object"),
    ]
    assert report.records == {str(path): 1}


def test_an_empty_file_is_a_violation(tmp_path: Path) -> None:
    assert told(write(tmp_path / "x.jsonl")) == [(0, "", "at least one record")]


def test_an_empty_file_beside_a_wrong_one_is_a_violation_too(tmp_path: Path) -> None:
    (tmp_path / JSONL_FILE[Task.CONTENT_SAFETY]).write_text("no record\n", encoding="utf-8")
    (tmp_path / JSONL_FILE[Task.TOPIC_CONTROL]).touch()
    found = [(v.file, v.expected) for v in validate(str(tmp_path)).violations]
    assert found == [
        (JSONL_FILE[Task.CONTENT_SAFETY], "a line that is one JSON object in UTF-8"),
        (JSONL_FILE[Task.TOPIC_CONTROL], "at least one record"),
    ]


def test_only_so_many_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *(content_record(id=str(n), prompt=n) for n in range(30)))
    report = validate(str(path), limit=5)
    assert (len(report.violations), report.total) == (5, 30)


def test_parquet_is_validated_like_json_lines(tmp_path: Path) -> None:
    rows = [content_record(), content_record(id="2", prompt_harm_label="harmful")]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(record_schema(Task.CONTENT_SAFETY, ["a"])))
    pq.write_table(table, tmp_path / "x.parquet")
    assert told(tmp_path / "x.parquet") == [(2, "/prompt_harm_label", "'unharmful', which is what prompt_label says")]


def test_published_names_are_deviations_unless_they_are_asked_for(tmp_path: Path) -> None:
    record = content_record()
    record["efficient_reasoning_a"] = record.pop("efficient_safety_reasoning_trace_a")
    path = write(tmp_path / "x.jsonl", record)
    assert sorted(told(path)) == [
        (1, "/efficient_reasoning_a", "no such field"),
        (1, "/efficient_safety_reasoning_trace_a", "the field to be there"),
    ]
    assert told(path, naming="published") == []


@pytest.fixture
def release(tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher]) -> Path:
    recipe = write_recipe(
        tmp_path / "recipe.toml",
        sources=[
            {"kind": "aegis", "path": write_aegis(tmp_path / "aegis", [aegis_row(), aegis_row(id="2")])},
            {"kind": "canttalkaboutthis", "path": write_dialogues(tmp_path / "topics", [dialogue()])},
        ],
        teachers=[openai_teacher("a", teacher().url)],
    )
    done = run("build", recipe)
    assert done.returncode == 0, done.stderr
    return tmp_path / "release"


def test_a_release_is_held_against_its_manifest(release: Path, run: Run) -> None:
    assert run("validate", release).returncode == 0
    path = release / "aegis_v2_efficient_reasoning.jsonl"
    path.write_text(path.read_text(encoding="utf-8").split("\n")[0] + "\n", encoding="utf-8")
    (release / "data" / "topic_control" / "train-00000-of-00001.parquet").unlink()
    (release / "extra.txt").write_text("x", encoding="utf-8")
    done = run("validate", release, "--json")
    assert done.returncode == 1
    found = {(v["file"], v["expected"].split()[0]) for v in json.loads(done.stdout)["violations"]}
    assert found == {
        ("aegis_v2_efficient_reasoning.jsonl", "sha256"),
        ("aegis_v2_efficient_reasoning.jsonl", "2"),
        ("data/topic_control/train-00000-of-00001.parquet", "the"),
        ("extra.txt", "no"),
    }


def test_a_folder_without_a_manifest_is_its_files(release: Path, tmp_path: Path, run: Run) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(release / "tf_efficient_reasoning.jsonl", bare)
    done = run("validate", bare)
    assert (done.returncode, done.stdout.strip()) == (0, "3 records in 1 files, 0 violations")


CONFIG = {"jsonl": "x.jsonl", "schema": "x.json", "parquet": [], "records": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"configs": []},
        {"files": []},
        {"files": {"x": {}}},
        {"configs": {"content_safety": {}}},
        {"columns": "x"},
        {"files": {"../x.jsonl": {"sha256": "0"}}},
        {"configs": {"content_safety": CONFIG | {"jsonl": "/etc/hostname"}}},
        {"configs": {"content_safety": {name: CONFIG[name] for name in CONFIG if name != "schema"}}},
    ],
    ids=["configs", "files", "file", "config", "columns", "a file above", "a file elsewhere", "no schema"],
)
def test_a_manifest_of_another_shape_or_that_leads_outside_is_an_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    manifest = {"configs": {}, "files": {}, "columns": "card"} | changes
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UsageError, match="is not a release's manifest"):
        validate(str(tmp_path))


def test_a_violation_prints_on_one_line_whatever_a_column_is_called(tmp_path: Path, run: Run) -> None:
    path = write(tmp_path / "x.jsonl", content_record(**{"a\nb": 1, "\ud800\x1b[31m": 1}))
    done = run("validate", path)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[:2] == [
        f"{path}:1 /a\\nb: expected no such field",
        f"{path}:1 /\\ud800\\u001b[31m: expected no such field",
    ]


@pytest.mark.parametrize("kind", ["nothing", "empty folder", "text file", "broken manifest", "broken parquet"])
def test_what_cannot_be_validated_is_an_error_without_a_traceback(tmp_path: Path, run: Run, kind: str) -> None:
    path = tmp_path / {"text file": "x.txt", "broken parquet": "x.parquet"}.get(kind, "x")
    if kind in {"empty folder", "broken manifest"}:
        path.mkdir()
    if kind == "broken manifest":
        (path / "manifest.json").write_text("[]", encoding="utf-8")
    if kind in {"text file", "broken parquet"}:
        path.write_text("x", encoding="utf-8")
    done = run("validate", path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_the_command_prints_each_violation_with_its_place(tmp_path: Path, run: Run) -> None:
    path = write(tmp_path / "x.jsonl", content_record(prompt=5), content_record(id="2", prompt=None))
    done = run("validate", path, "--limit", "1")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"{path}:1 /prompt: expected string, not integer",
        "2 records in 1 files, 2 violations (the first 1 are shown; --limit shows more)",
    ]


@pytest.mark.parametrize("task", list(Task))
def test_arrow_polars_and_datasets_types_come_from_the_schema(task: Task) -> None:
    schema = record_schema(task, ["b", "a"])
    assert arrow_schema(schema).names == list(schema["properties"])
    assert features(schema).arrow_schema.remove_metadata() == arrow_schema(schema)
    frame = pl.DataFrame(schema=polars_schema(schema))
    assert frame.columns == list(schema["properties"])
    kinds = {pl.String: "string", pl.Boolean: "boolean", pl.Int64: "integer", pl.List: "array"}
    for name, of in schema["properties"].items():
        stated = [of["type"]] if isinstance(of["type"], str) else of["type"]
        assert kinds[frame.schema[name].base_type()] in stated


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("name", ["card", "general"])
def test_schemas_are_schemas_and_describe_every_field(task: Task, name: str) -> None:
    schema = general_schema(task) if name == "general" else record_schema(task, ["a"])
    jsonschema.Draft202012Validator.check_schema(schema)
    parts = [*schema["properties"].values(), *schema.get("patternProperties", {}).values()]
    assert all(part["description"] for part in parts)


@pytest.mark.parametrize(
    ("task", "record"), [(Task.CONTENT_SAFETY, content_record()), (Task.TOPIC_CONTROL, topic_record())]
)
def test_the_general_schema_takes_any_teachers(task: Task, record: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(general_schema(task))
    assert validator.is_valid(record)
    renamed = {name[:-2] + "_gpt_oss_120b" if teacher_of(name) else name: value for name, value in record.items()}
    assert validator.is_valid(renamed)
    assert not validator.is_valid(record | {"reasoning_a": "x"})


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("naming", ["card", "published"])
def test_teachers_are_read_off_the_columns_that_they_name(task: Task, naming: Any) -> None:
    teachers = ["deepseek_r1_0528", "gpt_oss_120b", "qwen3_32b", "trac"]
    assert teachers_in(teacher_columns(task, teachers, naming)) == teachers
