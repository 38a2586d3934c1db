"""WildGuardMix from Parquet, null labels and all."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safety_reasoning.builders.left_out import Reason
from safety_reasoning.builders.plan import full_call
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


def test_the_teacher_is_asked_with_the_papers_wildguard_prompt(tmp_path: Path) -> None:
    (sample,) = load(tmp_path, [{}]).samples
    teacher = TeacherRecipe(name="t", engine="openai", model="m", base_urls=("http://127.0.0.1:1/v1",))
    call = full_call(sample, teacher)
    assert call.prompt.name == "generate_wildguard"
    assert "Response refusal label: compliance" in call.text()


@pytest.mark.parametrize("content", [b"", b"PAR1 nothing of the kind"], ids=["empty", "no parquet"])
def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train" / "wildguard_train.parquet"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UsageError, match="wildguard_train"):
        load_sources((SourceRecipe(kind="wildguardmix", path=str(tmp_path)),))
