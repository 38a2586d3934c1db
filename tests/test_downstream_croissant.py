"""croissant.json: the reference implementation validates it, and reads the release's records through it."""

import json
import shutil
from pathlib import Path
from typing import Any

import mlcroissant  # type: ignore[import-untyped]  # it ships no types
import polars as pl
import pytest

from safety_reasoning.cards.croissant import croissant
from safety_reasoning.hub.versions_bump import bump
from tests.releases import content, make_release, topic

RESPONSE = {"response": "", "response_label": "safe", "response_harm_label": "unharmful"}
CONTENTS = [
    content(1, "a", "b", reconstruction_id_if_redacted=7, prediction_gt_mismatch_b=None, **RESPONSE),
    content(2, "a", "b", efficient_safety_reasoning_trace_a=None),
]
TOPICS = [topic(1), topic(2, conversation_history=[])]


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    release = make_release(tmp_path_factory.mktemp("made"), CONTENTS, TOPICS, repo="o/n")
    bump(release, "none", date="2026-11-21")
    return release


@pytest.fixture
def release(stamped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stamped, tmp_path / "release"))


def document(release: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((release / "croissant.json").read_text(encoding="utf-8"))
    return loaded


def manifest(release: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    return loaded


def plain(value: Any) -> Any:
    """What mlcroissant gives, as the records have it: texts are bytes there, parts are named by their path."""
    if isinstance(value, dict):
        return {name.rpartition("/")[2]: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def records(release: Path, config: str) -> list[dict[str, Any]]:
    return [plain(record) for record in mlcroissant.Dataset(release / "croissant.json").records(config)]


def expected(release: Path, config: str) -> list[dict[str, Any]]:
    return pl.read_parquet(release / "data" / config / "*.parquet").to_dicts()


def test_it_is_valid_and_nothing_recommended_is_missing(release: Path) -> None:
    issues = mlcroissant.Dataset(release / "croissant.json").metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


@pytest.mark.parametrize("config", ["content_safety", "topic_control"])
def test_the_records_are_those_of_the_parquet(release: Path, config: str) -> None:
    assert records(release, config) == expected(release, config)


def test_it_says_what_the_release_is(release: Path) -> None:
    told = document(release)
    assert (told["name"], told["version"], told["license"]) == ("Test", "0.1.0", "cc-by-4.0")
    assert (told["url"], told["datePublished"]) == ("https://huggingface.co/datasets/o/n", "2026-11-21")
    files = {part["contentUrl"]: part["sha256"] for part in told["distribution"]}
    stated = manifest(release)["files"]
    assert files == {name: stated[name]["sha256"] for name in stated if name.endswith(".jsonl") or "data/" in name}


def test_every_field_is_described_as_in_the_schema(release: Path) -> None:
    for config in document(release)["recordSet"]:
        schema = json.loads((release / "schemas" / f"{config['name']}.schema.json").read_text(encoding="utf-8"))
        assert {field["name"]: field["description"] for field in config["field"]} == {
            name: of["description"] for name, of in schema["properties"].items()
        }


def test_a_file_that_is_not_what_it_states_is_not_read(release: Path) -> None:
    (path,) = (release / "data" / "topic_control").iterdir()
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(mlcroissant.GenerationError):
        records(release, "topic_control")


def test_several_files_of_a_config_are_one_set_of_records(release: Path) -> None:
    found = manifest(release)
    config = found["configs"]["content_safety"]
    whole = pl.read_parquet(release / config["parquet"][0])
    config["parquet"] = [f"data/content_safety/train-{n:05}-of-00002.parquet" for n in (0, 1)]
    shutil.rmtree(release / "data" / "content_safety")
    (release / "data" / "content_safety").mkdir()
    for name, part in zip(config["parquet"], whole.iter_slices(1), strict=True):
        part.write_parquet(release / name)
        found["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    (release / "croissant.json").write_text(json.dumps(croissant(found)), encoding="utf-8")
    assert records(release, "content_safety") == whole.to_dicts()


def test_a_release_without_repository_or_day_says_nothing_of_them(release: Path) -> None:
    told = croissant(manifest(release) | {"repo": "", "changes": None})
    assert "url" not in told
    assert "datePublished" not in told
