"""WildGuardMix from Parquet, null labels and all."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safety_reasoning.builders.left_out import Reason
from safety_reasoning.builders.questions import full_call
from safety_reasoning.builders.recipe import SourceRecipe, TeacherRecipe
from safety_reasoning.builders.samples import ContentSafetySample
from safety_reasoning.builders.sources.load import Loaded, load_sources
from safety_reasoning.errors import UsageError

ROW = {
    "prompt": "How do I bake bread?",
    "adversarial": False,
    "response": "Mix flour and water, wait, and bake.",
    "prompt_harm_label": "unharmful",
    "response_refusal_label": "compliance",
    "response_harm_label": "unharmful",
    "subcategory": "benign",
}


def load(folder: Path, rows: list[dict[str, Any]], split: Any = "train") -> Loaded:
    path = folder / split / f"wildguard_{split}.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame([ROW | row for row in rows], infer_schema_length=None).write_parquet(path)
    return load_sources((SourceRecipe(kind="wildguardmix", path=str(folder), split=split),))


def test_rows_become_samples_with_harm_refusal_and_a_stable_id(tmp_path: Path) -> None:
    (sample,) = load(tmp_path, [{}]).samples
    assert isinstance(sample, ContentSafetySample)
    assert (sample.prompt_harm, sample.response_harm, sample.refusal) == ("unharmful", "unharmful", "compliance")
    assert sample.published["prompt_label"] == "safe"
    assert sample.published["id"] == "536f60de4e6501fe26b927686959bac4"
    assert sample.published["violated_categories"] == ""


def test_null_labels_are_kept_apart(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "response": None, "response_harm_label": None, "response_refusal_label": None},
        {"prompt": "b", "response_harm_label": None},
        {"prompt": "c", "prompt_harm_label": None},
        {"prompt": "d", "response": None},
    ]
    loaded = load(tmp_path, rows, "test")
    assert [s.response_harm for s in loaded.samples if isinstance(s, ContentSafetySample)] == [None, None]
    assert [i.reason for i in loaded.left_out] == [Reason.NO_PROMPT_LABEL, Reason.LABEL_WITHOUT_RESPONSE]


def test_the_subcategory_is_a_violated_one_only_where_something_is_harmful(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "prompt_harm_label": "harmful", "subcategory": "fraud"},
        {"prompt": "b", "subcategory": "fraud"},
    ]
    samples = [s for s in load(tmp_path, rows).samples if isinstance(s, ContentSafetySample)]
    assert [s.published["violated_categories"] for s in samples] == ["fraud", ""]


def test_both_splits_are_read_with_every_column_known(tmp_path: Path) -> None:
    agreements = {f"{name}_agreement": 3.0 for name in ("prompt_harm", "response_refusal", "response_harm")}
    loaded = [load(tmp_path, [{}]), load(tmp_path, [agreements | {"notes": "x"}], "test")]
    assert [[(f.name, f.rows, f.ignored_columns) for f in each.files] for each in loaded] == [
        [("train/wildguard_train.parquet", 1, ())],
        [("test/wildguard_test.parquet", 1, ("notes",))],
    ]
    assert list(loaded[0].samples) == list(loaded[1].samples)


@pytest.mark.parametrize("refusal", ["refusal", "compliance", None])
def test_refusal_labels_are_kept_beside_the_published_columns(tmp_path: Path, refusal: str | None) -> None:
    _, sample = load(tmp_path, [{}, {"prompt": "b", "response_refusal_label": refusal}]).samples
    assert isinstance(sample, ContentSafetySample)
    assert sample.refusal == refusal
    assert refusal not in set(sample.published.values()) - {None}


def test_an_id_stands_for_prompt_and_response(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {},
        {"response": ""},
        {"response": None, "response_harm_label": None},
        {"prompt": "b"},
    ]
    loaded = load(tmp_path, [*rows, {"subcategory": "another"}])
    assert len({s.published["id"] for s in loaded.samples if isinstance(s, ContentSafetySample)}) == len(rows)
    assert [(i.reason, i.row) for i in loaded.left_out] == [(Reason.DUPLICATE, 5)]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"prompt_harm_label": "Harmful"}, Reason.UNKNOWN_LABEL, "prompt_harm_label"),
        ({"response_harm_label": "safe"}, Reason.UNKNOWN_LABEL, "response_harm_label"),
        ({"response_refusal_label": "partial"}, Reason.UNKNOWN_LABEL, "response_refusal_label"),
        ({"prompt": None}, Reason.WRONG_TYPE, "prompt"),
    ],
    ids=["case", "another word", "refusal", "null prompt"],
)
def test_a_bad_row_is_kept_aside_with_its_field(
    tmp_path: Path, changes: dict[str, Any], reason: Reason, field: str
) -> None:
    (item,) = load(tmp_path, [{}, changes]).left_out
    assert (item.reason, item.row) == (reason, 2)
    assert item.detail.startswith(f"{field}: ")


def test_a_table_without_a_column_is_no_file_of_wildguardmix(tmp_path: Path) -> None:
    path = tmp_path / "train" / "wildguard_train.parquet"
    path.parent.mkdir()
    pl.DataFrame([ROW]).drop("subcategory").write_parquet(path)
    with pytest.raises(UsageError, match="missing_field: subcategory"):
        load_sources((SourceRecipe(kind="wildguardmix", path=str(tmp_path)),))


def test_the_teacher_is_asked_with_the_papers_wildguard_prompt(tmp_path: Path) -> None:
    (sample,) = load(tmp_path, [{}]).samples
    teacher = TeacherRecipe(name="t", engine="openai", model="m", base_urls=("http://127.0.0.1:1/v1",))
    call = full_call(sample, teacher)
    assert call.prompt.name == "generate_wildguard"
    assert "Response refusal label: compliance" in call.request(call.key).text


@pytest.mark.parametrize("content", [b"", b"PAR1 nothing of the kind"], ids=["empty", "no parquet"])
def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train" / "wildguard_train.parquet"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UsageError, match="wildguard_train"):
        load_sources((SourceRecipe(kind="wildguardmix", path=str(tmp_path)),))
