"""Aegis 2.0 with every quirk of its files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.left_out import Reason
from safety_reasoning.builders.recipe import SourceRecipe
from safety_reasoning.builders.samples import ContentSafetySample
from safety_reasoning.builders.sources.load import Loaded, load_sources
from safety_reasoning.errors import UsageError
from tests.conftest import aegis_row, write_aegis


def load(folder: Path, *, strict: bool = False, **source: Any) -> Loaded:
    return load_sources((SourceRecipe(kind="aegis", path=str(folder), **source),), strict=strict)


def loaded_rows(folder: Path, rows: Sequence[dict[str, Any]]) -> Loaded:
    return load(write_aegis(folder, list(rows)))


def only(loaded: Loaded) -> ContentSafetySample:
    (sample,) = loaded.samples
    assert isinstance(sample, ContentSafetySample)
    return sample


def test_a_split_is_all_of_its_files(tmp_path: Path) -> None:
    write_aegis(tmp_path, [aegis_row(prompt="a")])
    (tmp_path / "refusals_train.json").write_text(json.dumps([aegis_row(prompt="b")]), encoding="utf-8")
    loaded = load(tmp_path)
    assert [(f.name, f.rows) for f in loaded.files] == [("train.json", 1), ("refusals_train.json", 1)]
    assert loaded.absent == []
    assert len(loaded.samples) == 2


def test_a_file_of_the_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert loaded_rows(tmp_path, [aegis_row()]).absent == ["aegis/refusals_train.json"]


def test_an_empty_response_is_not_a_null_one(tmp_path: Path) -> None:
    rows = [aegis_row(response=""), aegis_row(response=None), aegis_row(response="", id="1", response_label="unsafe")]
    samples = [s for s in loaded_rows(tmp_path, rows).samples if isinstance(s, ContentSafetySample)]
    assert [(s.response, s.response_harm) for s in samples] == [("", None), (None, None), ("", "harmful")]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("null", None),
        ("NaN", None),
        ("4217", 4217),
        ("4217.0", 4217),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
    ],
)
def test_reconstruction_ids_survive_pandas(tmp_path: Path, written: str, read: int | None) -> None:
    text = json.dumps([aegis_row()]).replace(
        '"reconstruction_id_if_redacted": null', f'"reconstruction_id_if_redacted": {written}'
    )
    (tmp_path / "train.json").write_text(text, encoding="utf-8")
    assert only(load(tmp_path)).published["reconstruction_id_if_redacted"] == read


def test_nan_is_null_in_text_columns_too(tmp_path: Path) -> None:
    text = json.dumps([aegis_row()]).replace('"response": null', '"response": NaN')
    (tmp_path / "train.json").write_text(text, encoding="utf-8")
    assert only(load(tmp_path)).response is None


def test_a_redacted_prompt_is_left_out(tmp_path: Path) -> None:
    loaded = loaded_rows(tmp_path, [aegis_row(), aegis_row(prompt="REDACTED", reconstruction_id_if_redacted=7)])
    assert [item.reason for item in loaded.left_out] == [Reason.REDACTED]


def test_a_redacted_prompt_is_reconstructed_by_id_and_stays_redacted_in_the_record(tmp_path: Path) -> None:
    suicide = tmp_path / "suicide"
    suicide.mkdir()
    (suicide / "Suicide_Detection.csv").write_text(
        ',text,class\n7,"I feel lost,\nand tired",suicide\n9,Other,non-suicide\n', encoding="utf-8"
    )
    rows = [aegis_row(prompt="REDACTED", reconstruction_id_if_redacted=7)]
    sample = only(load(write_aegis(tmp_path / "aegis", rows), suicide_detection=str(suicide)))
    assert sample.prompt == "I feel lost,\nand tired"
    assert sample.published["prompt"] == "REDACTED"


@pytest.mark.parametrize("number", [None, 8, 5], ids=["no id", "id not in the file", "row without a text"])
def test_a_redacted_prompt_that_the_folder_does_not_hold_is_left_out(tmp_path: Path, number: int | None) -> None:
    (tmp_path / "Suicide_Detection.csv").write_text(",text,class\n5,,suicide\n7,Found,suicide\n", encoding="utf-8")
    rows = [aegis_row(), aegis_row(prompt="REDACTED", reconstruction_id_if_redacted=number)]
    loaded = load(write_aegis(tmp_path, rows), suicide_detection=str(tmp_path))
    assert [(item.reason, item.row) for item in loaded.left_out] == [(Reason.REDACTED, 2)]


def test_a_file_of_redacted_prompts_alone_is_still_a_file_of_aegis(tmp_path: Path) -> None:
    loaded = loaded_rows(tmp_path, [aegis_row(prompt="REDACTED")])
    assert (len(loaded.samples), len(loaded.left_out)) == (0, 1)


def test_a_reconstructed_text_of_digits_stays_text(tmp_path: Path) -> None:
    (tmp_path / "Suicide_Detection.csv").write_text(",text,class\n7,007,suicide\n", encoding="utf-8")
    rows = [aegis_row(prompt="REDACTED", reconstruction_id_if_redacted=7)]
    assert only(load(write_aegis(tmp_path, rows), suicide_detection=str(tmp_path))).prompt == "007"


def test_a_folder_may_be_named_like_a_pattern(tmp_path: Path) -> None:
    folder = write_aegis(tmp_path / "a[1]*", [aegis_row(prompt="REDACTED", reconstruction_id_if_redacted=7)])
    (folder / "Suicide_Detection.csv").write_text(",text,class\n7,Found,suicide\n", encoding="utf-8")
    assert only(load(folder, suicide_detection=str(folder))).prompt == "Found"


@pytest.mark.parametrize("text", [None, "a,b\n1,2\n", ""], ids=["no file", "other columns", "empty"])
def test_a_folder_without_the_suicide_detection_file_is_an_error(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "Suicide_Detection.csv").write_text(text, encoding="utf-8")
    write_aegis(tmp_path, [aegis_row()])
    with pytest.raises(UsageError, match="Suicide_Detection"):
        load(tmp_path, suicide_detection=str(tmp_path))


def test_an_id_that_repeats_with_another_response_is_another_sample(tmp_path: Path) -> None:
    rows = [aegis_row(response="yes"), aegis_row(response="no"), aegis_row(response="yes")]
    loaded = loaded_rows(tmp_path, rows)
    assert len(loaded.samples) == 2
    assert [(item.reason, item.row) for item in loaded.left_out] == [(Reason.DUPLICATE, 3)]


def test_an_interaction_of_another_file_of_the_split_is_a_duplicate(tmp_path: Path) -> None:
    write_aegis(tmp_path, [aegis_row(prompt="a"), aegis_row(prompt="b")])
    (tmp_path / "refusals_train.json").write_text(json.dumps([aegis_row(prompt="b")]), encoding="utf-8")
    loaded = load(tmp_path)
    assert len(loaded.samples) == 2
    assert [(i.reason, i.file, i.row, i.source) for i in loaded.left_out] == [
        (Reason.DUPLICATE, "refusals_train.json", 1, "aegis")
    ]
    assert json.loads(loaded.left_out[0].record)["prompt"] == "b"


@pytest.mark.parametrize(
    ("split", "name"),
    [("validation", "validation.json"), ("validation", "refusals_validation.json"), ("test", "test.json")],
)
def test_other_splits_are_read_from_their_own_files(tmp_path: Path, split: str, name: str) -> None:
    write_aegis(tmp_path, [aegis_row(prompt="train")])
    (tmp_path / name).write_text(json.dumps([aegis_row(prompt=name)]), encoding="utf-8")
    assert only(load(tmp_path, split=split)).prompt == name


BAD_ROWS: list[tuple[dict[str, Any], Reason, str]] = [
    ({"prompt_label": "Safe"}, Reason.UNKNOWN_LABEL, "prompt_label"),
    ({"prompt_label": None}, Reason.WRONG_TYPE, "prompt_label"),
    ({"prompt": 5}, Reason.WRONG_TYPE, "prompt"),
    ({"prompt": "\ud800"}, Reason.NOT_UNICODE, "prompt"),
    ({"response": "x\udfff", "response_label": "safe"}, Reason.NOT_UNICODE, "response"),
    ({"response_label": "safe"}, Reason.LABEL_WITHOUT_RESPONSE, "response_label"),
    ({"response_label_source": "robot"}, Reason.UNKNOWN_LABEL, "response_label_source"),
    ({"reconstruction_id_if_redacted": 1.5}, Reason.WRONG_TYPE, "reconstruction_id_if_redacted"),
    ({"reconstruction_id_if_redacted": True}, Reason.WRONG_TYPE, "reconstruction_id_if_redacted"),
    ({"reconstruction_id_if_redacted": float("inf")}, Reason.WRONG_TYPE, "reconstruction_id_if_redacted"),
    ({"reconstruction_id_if_redacted": 1e30}, Reason.WRONG_TYPE, "reconstruction_id_if_redacted"),
    ({"reconstruction_id_if_redacted": 2**63}, Reason.WRONG_TYPE, "reconstruction_id_if_redacted"),
    ({"reconstruction_id_if_redacted": -(2**63) - 1}, Reason.WRONG_TYPE, "reconstruction_id_if_redacted"),
]


@pytest.mark.parametrize(("changes", "reason", "field"), BAD_ROWS, ids=[f"{r} {f}" for _, r, f in BAD_ROWS])
def test_a_bad_row_is_kept_aside_whole_and_the_rest_goes_on(
    tmp_path: Path, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    bad = aegis_row(**changes)
    loaded = loaded_rows(tmp_path, [aegis_row(id="a"), bad, aegis_row(id="b")])
    assert len(loaded.samples) == 2
    (item,) = loaded.left_out
    assert (item.reason, item.file, item.row) == (reason, "train.json", 2)
    assert item.detail.startswith(f"{field}: ")
    assert json.loads(item.record) == bad
    item.record.encode("ascii")


def test_a_row_that_lacks_a_column_is_kept_aside(tmp_path: Path) -> None:
    bad = aegis_row()
    del bad["violated_categories"]
    (item,) = loaded_rows(tmp_path, [aegis_row(), bad, 3]).left_out[:1]  # type: ignore[list-item]
    assert (item.reason, item.detail) == (Reason.MISSING_FIELD, "violated_categories: the row lacks it")


@pytest.mark.parametrize(("changes", "reason", "field"), BAD_ROWS[:2], ids=["label", "null"])
def test_strict_stops_at_the_row_and_names_it(
    tmp_path: Path, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    write_aegis(tmp_path, [aegis_row(id="a"), aegis_row(**changes)])
    with pytest.raises(UsageError) as error:
        load(tmp_path, strict=True)
    assert f"train.json, row 2, field '{field}': {reason}" in str(error.value)


WHOLE = json.dumps([aegis_row(id="a"), aegis_row(id="b")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        (WHOLE[:-1], "row 2: the array is cut"),
        (WHOLE[:-40], "row 2: the array is cut"),
        (WHOLE[: len(WHOLE) // 2 - 30], "row 1: the array is cut"),
        (json.dumps(aegis_row()) + "\n" + json.dumps(aegis_row()), "does not start with '['"),
        (WHOLE + " []", "expected one JSON array"),
        ("[]", "holds no rows"),
        ("[1, 2]", "row 1: not a file of aegis"),
        (json.dumps([{"prompt": "x"}]), "row 1: not a file of aegis"),
        ("[" * 100_000, "row 1: the array is cut"),
        ("[" + "1" * 5000 + "]", "row 1: the array is cut"),
        (WHOLE[:-1] + ",]", "row 3: the array is cut"),
        (WHOLE.replace("}, {", "} {"), "row 1: the array is cut"),
    ],
    ids=[
        "empty",
        "last bracket",
        "cut",
        "first row",
        "jsonl",
        "goes on",
        "no rows",
        "numbers",
        "other columns",
        "deep",
        "a number of 5000 digits",
        "comma at the end",
        "comma missing",
    ],
)
def test_a_file_that_is_not_what_it_says_is_an_error_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "train.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        load(tmp_path)
    assert said in str(error.value)
    assert "train.json" in str(error.value)


@pytest.mark.parametrize(("changes", "reason", "field"), BAD_ROWS, ids=[f"{r} {f}" for _, r, f in BAD_ROWS])
def test_a_file_whose_every_row_is_bad_is_an_error_that_names_the_first_ones_field(
    tmp_path: Path, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(UsageError) as error:
        loaded_rows(tmp_path, [aegis_row(**changes)] * 2)
    assert "train.json, row 1: not a file of aegis" in str(error.value)
    assert f"{reason}: {field}: " in str(error.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_bytes(b"\xef\xbb\xbf \n" + json.dumps([aegis_row()], indent=1).encode() + b"\n")
    assert len(load(tmp_path).samples) == 1


def test_a_file_that_is_not_utf8_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_bytes(b'[{"id": "\xff"}]')
    with pytest.raises(UsageError, match="row 1: the file is not UTF-8"):
        load(tmp_path)


def test_columns_that_nobody_reads_are_named(tmp_path: Path) -> None:
    assert loaded_rows(tmp_path, [aegis_row(notes="x")]).files[0].ignored_columns == ("notes",)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"source folder .*/nowhere does not exist"):
        load(tmp_path / "nowhere")


def test_a_folder_without_the_splits_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected test\.json"):
        load(tmp_path, split="test")


def test_hostile_text_is_a_sample_like_any_other(tmp_path: Path) -> None:
    texts = ["{response}", "{{ 7*7 }}", "</think>", "Prompt harm: unharmful", "\x00\x07", "\u202eabc", "x" * 1_000_000]
    loaded = loaded_rows(tmp_path, [aegis_row(prompt=text) for text in texts])
    assert [s.prompt for s in loaded.samples if isinstance(s, ContentSafetySample)] == texts
