"""What lies between two releases: every kind of change, how it is told, and which version follows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.hub.diff import diff
from safety_reasoning.hub.diff_text import as_text
from safety_reasoning.schemas.columns import Task
from tests.conftest import Run
from tests.releases import CONTENT, TOPIC, Row, content, make_release, topic, write_lines, write_tables

CONTENTS, TOPICS = [content(n) for n in range(1, 6)], [topic(n) for n in range(1, 4)]
OTHER = "The user asks about something else, which is ordinary."


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("old"), CONTENTS, TOPICS)


def lines(old: Path, new: Path) -> list[str]:
    """What is said beyond the first two lines, without samples."""
    return as_text(diff(str(old), str(new), samples=0)).splitlines()[2:]


def edited(number: int, **changes: Any) -> list[Row]:
    return [row | changes if position == number else row for position, row in enumerate(CONTENTS, start=1)]


def test_the_same_rows_built_again_are_nothing_whatever_their_version(old: Path, tmp_path: Path) -> None:
    new = make_release(tmp_path, CONTENTS, TOPICS, version="3.4.5")
    assert lines(old, new) == ["content_safety: the same 5 rows", "topic_control: the same 3 rows", "nothing changed"]
    found = diff(str(old), str(new))
    assert (found.level, found.next_version, found.nothing_changed) == ("none", "0.1.0", True)
    assert (found.old.version, found.new.version) == ("0.1.0", "3.4.5")


CHANGES: dict[str, tuple[Callable[[], list[Row]], list[str]]] = {
    "added": (
        lambda: [*CONTENTS, content(6)],
        ["content_safety: 5 → 6 rows; 1 added, 0 removed, 0 changed"],
    ),
    "removed": (
        lambda: CONTENTS[:3],
        ["content_safety: 5 → 3 rows; 0 added, 2 removed, 0 changed"],
    ),
    "another response is another row": (
        lambda: edited(2, response=""),
        ["content_safety: 5 → 5 rows; 1 added, 1 removed, 0 changed"],
    ),
    "label": (
        lambda: edited(2, prompt_label="unsafe", prompt_harm_label="harmful"),
        [
            "content_safety: 5 → 5 rows; 0 added, 0 removed, 1 changed",
            "  prompt_label changed in 1 row",
            "  prompt_harm_label changed in 1 row",
            "  prompt_label: safe → unsafe in 1 row",
            "  prompt_harm_label: unharmful → harmful in 1 row",
        ],
    ),
    "mismatch": (
        lambda: edited(2, prediction_gt_mismatch_a=None),
        [
            "content_safety: 5 → 5 rows; 0 added, 0 removed, 1 changed",
            "  prediction_gt_mismatch_a changed in 1 row",
            "  prediction_gt_mismatch_a: false → null in 1 row",
        ],
    ),
    "trace rewritten": (
        lambda: edited(2, safety_reasoning_a=OTHER),
        [
            "content_safety: 5 → 5 rows; 0 added, 0 removed, 1 changed",
            "  safety_reasoning_a changed in 1 row",
            "  full traces of a: 5 → 5; 1 rewritten in rows of both",
        ],
    ),
    "trace gone": (
        lambda: edited(2, efficient_safety_reasoning_trace_a=None),
        [
            "content_safety: 5 → 5 rows; 0 added, 0 removed, 1 changed",
            "  efficient_safety_reasoning_trace_a changed in 1 row",
            "  efficient traces of a: 5 → 4; 1 removed in rows of both",
        ],
    ),
}


@pytest.mark.parametrize(("rows", "told"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_rows_is_told_and_makes_a_minor_version(
    old: Path, tmp_path: Path, rows: Callable[[], list[Row]], told: list[str]
) -> None:
    new = write_tables(tmp_path, {CONTENT: rows(), TOPIC: TOPICS})
    found = lines(old, new)
    assert found[: len(told)] == told
    assert found[len(told)] == "topic_control: the same 3 rows"
    assert found[-1] == "next version: 0.2.0 (minor, since rows changed)"


def test_a_trace_that_is_new_is_told_from_the_other_side(old: Path, tmp_path: Path) -> None:
    new = write_tables(tmp_path, {CONTENT: edited(2, efficient_safety_reasoning_trace_a=None), TOPIC: TOPICS})
    assert "  efficient traces of a: 4 → 5; 1 added in rows of both" in lines(new, old)


def test_topic_labels_flip_too(old: Path, tmp_path: Path) -> None:
    topics = [topic(1, gt_topic_classification="on-topic"), *TOPICS[1:]]
    found = lines(old, write_tables(tmp_path, {CONTENT: CONTENTS, TOPIC: topics}))
    assert "  gt_topic_classification: off-topic → on-topic in 1 row" in found


def test_another_teacher_is_a_change_of_schema_and_no_row_is_changed_by_it(old: Path, tmp_path: Path) -> None:
    new = make_release(tmp_path, [content(n, "a", "b") for n in range(1, 6)], TOPICS)
    assert lines(old, new)[:10] == [
        "content_safety: 5 → 5 rows; 0 added, 0 removed, 0 changed",
        "  column added: efficient_safety_reasoning_trace_b",
        "  column added: prediction_gt_mismatch_b",
        "  column added: safety_reasoning_b",
        "  full traces of b: 0 → 5",
        "  efficient traces of b: 0 → 5",
        "topic_control: 3 → 3 rows; 0 added, 0 removed, 0 changed",
        "  column added: efficient_reasoning_trace_b",
        "  column added: prediction_gt_mismatch_b",
        "  column added: safety_reasoning_trace_b",
    ]
    assert lines(old, new)[-1] == "next version: 1.0.0 (major, since the schema changed)"
    assert "  column removed: safety_reasoning_b" in lines(new, old)


def test_a_config_that_comes_or_goes_is_a_change_of_schema(old: Path, tmp_path: Path) -> None:
    new = make_release(tmp_path, CONTENTS)
    assert lines(old, new)[1:3] == [
        "topic_control: 3 → 0 rows; 0 added, 3 removed, 0 changed",
        "  config removed",
    ]
    assert "  config added" in lines(new, old)
    assert diff(str(new), str(old)).next_version == "1.0.0"


def test_other_values_in_the_schema_count_and_other_words_do_not(old: Path, tmp_path: Path) -> None:
    new = make_release(tmp_path, CONTENTS, TOPICS)
    path = new / "schemas" / "content_safety.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema["properties"]["prompt"]["description"] = "Other words."
    path.write_text(json.dumps(schema), encoding="utf-8")
    assert diff(str(old), str(new)).level == "none"
    schema["properties"]["prompt_label"]["enum"].append("unclear")
    path.write_text(json.dumps(schema), encoding="utf-8")
    assert "  values changed: prompt_label" in lines(old, new)
    assert diff(str(old), str(new)).level == "major"


@pytest.mark.parametrize(
    ("release", "beside"),
    [
        ({"name": "Another name"}, ["README.md", "manifest.json: name"]),
        ({"license": "cc-by-sa-4.0"}, ["README.md", "manifest.json: license"]),
        ({"repo": "o/n"}, ["README.md", "manifest.json: repo"]),
    ],
    ids=["name", "license", "repo"],
)
def test_another_card_or_manifest_is_a_patch(
    old: Path, tmp_path: Path, release: dict[str, str], beside: list[str]
) -> None:
    found = diff(str(old), str(make_release(tmp_path, CONTENTS, TOPICS, **release)))
    assert (found.level, found.next_version, list(found.beside)) == ("patch", "0.1.1", beside)


def test_rows_in_another_order_are_the_same_rows_in_files_written_anew(old: Path, tmp_path: Path) -> None:
    new = make_release(tmp_path, CONTENTS, TOPICS)
    manifest = json.loads((new / "manifest.json").read_text(encoding="utf-8"))
    name = manifest["configs"]["topic_control"]["parquet"][0]
    write_tables(new, {TOPIC: TOPICS[::-1]})
    manifest["files"][name]["sha256"] = "0" * 64
    (new / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    found = diff(str(old), str(new))
    assert (found.level, list(found.beside)) == ("patch", [name])


def test_a_card_that_was_edited_on_the_hub_is_seen(old: Path, tmp_path: Path) -> None:
    new = make_release(tmp_path, CONTENTS, TOPICS)
    card = new / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "\nA word more.\n", encoding="utf-8")
    assert list(diff(str(old), str(new)).beside) == ["README.md"]


def published(row: Row, task: Task) -> Row:
    """The row under the names of the published files."""
    before = "efficient_safety_reasoning_trace_" if task is CONTENT else "efficient_reasoning_trace_"
    return {name.replace(before, "efficient_reasoning_"): value for name, value in row.items()}


def test_published_names_are_a_renaming_and_the_same_rows(old: Path, tmp_path: Path) -> None:
    rows = {CONTENT: [published(r, CONTENT) for r in CONTENTS], TOPIC: [published(r, TOPIC) for r in TOPICS]}
    new = write_lines(tmp_path, rows)
    assert lines(new, old)[:4] == [
        "content_safety: 5 → 5 rows; 0 added, 0 removed, 0 changed",
        "  column renamed: efficient_reasoning_a → efficient_safety_reasoning_trace_a",
        "topic_control: 3 → 3 rows; 0 added, 0 removed, 0 changed",
        "  column renamed: efficient_reasoning_a → efficient_reasoning_trace_a",
    ]
    assert lines(new, old)[-1] == "next version: a major one, since the schema changed; old states none"


def test_a_diff_is_one_json_document_on_request(old: Path, tmp_path: Path, run: Run) -> None:
    new = write_tables(tmp_path, {CONTENT: edited(2, prompt_label="unsafe"), TOPIC: TOPICS})
    done = run("diff", old, new, "--json", "--samples", 1)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["level"], told["next_version"], told["nothing_changed"]) == ("minor", "0.2.0", False)
    rows = told["configs"][0]["rows"]
    assert (rows["before"], rows["after"], rows["added"], rows["removed"], rows["changed"]) == (5, 5, 0, 0, 1)
    assert rows["columns"] == {"prompt_label": 1}
    (sample,) = rows["changed_samples"]
    assert sample["changes"] == [{"column": "prompt_label", "old": "safe", "new": "unsafe"}]


def test_the_three_forms_exclude_each_other_where_they_must(old: Path, run: Run) -> None:
    done = run("diff", old, old, "--json", "--markdown")
    assert done.returncode == 2
    assert "--json and --markdown" in done.stderr
    assert run("diff", old, old).stdout.splitlines()[-1] == "nothing changed"
    assert run("diff", old, old, "--markdown").stdout.splitlines()[-1] == "Nothing changed."
