"""A release that somebody else published becomes one of ours: fixed, valid, loadable, nothing lost in silence."""

import json
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest

from safety_reasoning.builders.progress import Silent
from safety_reasoning.errors import UsageError
from safety_reasoning.hub.diff import diff
from safety_reasoning.hub.reading_deviations import PublishedFile, deviations
from safety_reasoning.hub.reading_published import Imported, Wanted, import_published
from safety_reasoning.schemas.columns import Task
from safety_reasoning.schemas.folder import validate_folder
from tests.conftest import Run, json_lines, tree
from tests.hub_server.client import online
from tests.hub_server.server import HubServer
from tests.releases import CONTENT, TOPIC, Row, content, topic, write_lines

pytest_plugins = ["tests.hub_server.fixture"]

CARD = """\
---
license: cc-by-sa-4.0
language: en
configs:
- config_name: default
  data_files:
  - split: nemotron_content_safety_reasoning
    path: aegis_v2_efficient_reasoning.jsonl
  - split: topic_control_reasoning
    path: tf_efficient_reasoning.jsonl
---
# A reasoning data set

This resulted in **28,000 samples** (out of 30,007 training samples) and 2 samples of topic control, in 1,080 dialogues.
- **efficient_safety_reasoning_trace_{generator_model}**: Reduced-length reasoning trace
"""
SAFETY_JSONL, TOPIC_JSONL = "aegis_v2_efficient_reasoning.jsonl", "tf_efficient_reasoning.jsonl"
DEVIATIONS = (
    f"config default has files of different columns, which load_dataset refuses: {SAFETY_JSONL} and {TOPIC_JSONL}",
    f"{SAFETY_JSONL} has the column efficient_reasoning_a, which the card calls efficient_safety_reasoning_trace_a",
    f"{TOPIC_JSONL} has the column efficient_reasoning_a, which the card calls efficient_reasoning_trace_a",
    f"the card speaks of 28000 samples, which is the count of no file: {SAFETY_JSONL} 7, {TOPIC_JSONL} 2",
)


def published(row: Row) -> Row:
    """The row under the names of the published files, which differ from the card's in both."""
    long, short = ("efficient_safety_reasoning_trace_", "efficient_reasoning_trace_"), "efficient_reasoning_"
    return {name.replace(long[0], short).replace(long[1], short): value for name, value in row.items()}


def source(folder: Path) -> Path:
    """A data set with the faults of the published one."""
    thought = "The user asks about a knife, which is an ordinary household matter."
    rows = [
        content(1),
        content(2, safety_reasoning_a=f"<think>\n{thought}\n</think>"),
        content(3, reconstruction_id_if_redacted=float("nan")),
        content(4, safety_reasoning_a="The ground truth label says that this prompt is safe, so it is safe."),
        content(5, prediction_gt_mismatch_a=True),
        content(6, prompt_label="Safe"),
        content(1),
    ]
    write_lines(folder, {CONTENT: map(published, rows), TOPIC: map(published, [topic(1), topic(2)])})
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    return folder


def imported(folder: Path, **wanted: Any) -> Imported:
    return import_published(str(source(folder / "source")), Wanted(out=folder / "out", **wanted), Silent())


def test_it_becomes_a_valid_release_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    done = imported(tmp_path)
    assert validate_folder(tmp_path / "out").total == 0
    assert done.loaded == {"content_safety": 3, "topic_control": 2}
    assert done.manifest["left_out"] == [
        {"config": "content_safety", "reason": reason, "rows": 1}
        for reason in ("duplicate", "keep_rule", "no_usable_trace", "unknown_label")
    ]
    assert done.manifest["dropped_traces"] == [{"teacher": "a", "step": "full", "reason": "label_leak", "traces": 1}]
    assert pl.read_parquet(tmp_path / "out" / "left_out" / "content_safety.parquet").height == 4
    records = {row["prompt"][-2]: row for row in json_lines(tmp_path / "out" / SAFETY_JSONL)}
    assert sorted(records) == ["1", "2", "3"]
    assert "efficient_safety_reasoning_trace_a" in records["1"]
    assert "think" not in records["2"]["safety_reasoning_a"]
    assert records["3"]["reconstruction_id_if_redacted"] is None


def test_load_dataset_fails_on_the_source_and_reads_the_release(tmp_path: Path) -> None:
    imported(tmp_path)
    options: dict[str, Any] = {"cache_dir": str(tmp_path / "cache")}
    with pytest.raises(Exception, match=r"(?s)column|Features|cast|generating"):
        datasets.load_dataset(str(tmp_path / "source"), **options)
    loaded: Any = datasets.load_dataset(str(tmp_path / "out"), "topic_control", split="train", **options)
    assert len(loaded) == 2


def test_what_deviates_is_listed_by_validate_and_by_import(tmp_path: Path, run: Run) -> None:
    folder = source(tmp_path / "source")
    told = run("validate", folder).stdout
    assert f"{SAFETY_JSONL}:1 /efficient_reasoning_a: expected no such field" in told
    assert f"{SAFETY_JSONL}:2 /safety_reasoning_a: expected a trace without think_tag" in told
    assert f"{SAFETY_JSONL}:7 /: expected an interaction of its own, not that of line 1" in told
    done = run("import", folder, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *(f"the source deviates: {deviation}" for deviation in DEVIATIONS),
        f"read: {SAFETY_JSONL}, 7 rows",
        f"read: {TOPIC_JSONL}, 2 rows",
        "released: 3 records of content_safety",
        "released: 2 records of topic_control",
        "  left out of content_safety: 1 × duplicate",
        "  left out of content_safety: 1 × keep_rule",
        "  left out of content_safety: 1 × no_usable_trace",
        "  left out of content_safety: 1 × unknown_label",
        "  traces dropped: 1 × label_leak (a, full)",
        f"the release is in {tmp_path / 'out'}; give it a version with `safety-reasoning bump {tmp_path / 'out'} none`",
    ]
    assert run("validate", tmp_path / "out").returncode == 0


def test_its_licence_name_and_languages_are_those_of_the_source(tmp_path: Path) -> None:
    manifest = imported(tmp_path).manifest
    assert (manifest["name"], manifest["license"], manifest["language"]) == ("source", "cc-by-sa-4.0", ["en"])
    assert (manifest["teachers"], manifest["sources"][0]["kind"]) == ([], "published")


def test_name_repository_keep_rule_and_naming_can_be_given(tmp_path: Path) -> None:
    done = imported(tmp_path, name="Fixed", repo="o/n", keep="all", columns="published")
    assert (done.manifest["name"], done.manifest["repo"], done.manifest["keep"]) == ("Fixed", "o/n", "all")
    assert "efficient_reasoning_a" in json_lines(tmp_path / "out" / SAFETY_JSONL)[0]
    assert 'load_dataset("o/n"' in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_it_differs_from_its_source_by_what_was_fixed(tmp_path: Path) -> None:
    imported(tmp_path)
    safety, topics = diff(str(tmp_path / "source"), str(tmp_path / "out")).configs
    assert [(change.kind, change.column) for change in safety.schema] == [
        ("column renamed", "efficient_safety_reasoning_trace_a")
    ]
    assert (safety.rows.added, safety.rows.removed, safety.rows.changed) == (0, 4, 1)
    assert (topics.rows.added, topics.rows.removed, topics.rows.changed) == (0, 0, 0)


def test_a_repository_is_read_at_one_commit_that_the_manifest_states(hub: HubServer, tmp_path: Path, run: Run) -> None:
    repo = hub.add_repo("o/n", folder=source(tmp_path / "source"))
    commit = repo.branches["main"]
    environment = online(hub, tmp_path / "hf")
    done = run("import", "o/n", tmp_path / "out", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["manifest"]["sources"][0]["origin"], told["manifest"]["sources"][0]["revision"]) == (
        "hf://datasets/o/n",
        commit,
    )
    assert told["manifest"]["name"] == "n"
    assert told["deviations"] == list(DEVIATIONS)
    done = run("import", f"hf://datasets/o/n@{commit}", tmp_path / "again", env=environment)
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "again") == tree(tmp_path / "out")


def foreign(out: Path) -> Path:
    out.mkdir()
    (out / "thesis.txt").write_text("years of work", encoding="utf-8")
    return out


def test_a_place_that_is_no_release_or_the_source_itself_is_refused(tmp_path: Path) -> None:
    folder = source(tmp_path / "source")
    for out in (foreign(tmp_path / "other"), folder):
        before = tree(out)
        with pytest.raises(UsageError):
            import_published(str(folder), Wanted(out=out), Silent())
        assert tree(out) == before


def test_a_repository_that_cannot_be_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'two words' is not the name of a repository"):
        imported(tmp_path, repo="two words")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("", 0),
        ("no metadata, 9 samples", 1),
        ("---\nconfigs: 5\nlicense: [x]\nlanguage: {a: 1}\n---\n", 0),
        ("---\nconfigs: [5, {data_files: 7}, {data_files: [{}]}]\n---\n2 rows and 3 rows, 1.5 samples", 0),
        ("---\n{ broken\n---\n", 0),
        ("---\nconfigs:\n- data_files: '*.jsonl'\n---\n", 1),
    ],
    ids=["empty", "no metadata", "other types", "odd configs", "broken", "a pattern"],
)
def test_any_card_can_be_read(tmp_path: Path, card: str, told: int) -> None:
    folder = write_lines(
        tmp_path / "source", {CONTENT: [content(1), content(2), content(3)], TOPIC: [topic(1), topic(2)]}
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    done = import_published(str(folder), Wanted(out=tmp_path / "out"), Silent())
    assert len(done.deviations) == told
    assert done.manifest["license"] == "cc-by-4.0"


def test_counts_of_a_file_or_of_all_together_are_no_deviation() -> None:
    files = [
        PublishedFile(name="a", task=Task.CONTENT_SAFETY, columns=("id",), rows=28000),
        PublishedFile(name="b", task=Task.TOPIC_CONTROL, columns=("x",), rows=8712),
    ]
    assert deviations("**28,000 samples**, 8712 rows, 36,712 records", {}, files) == []
    assert deviations("1,28000 samples, 27,459 examples", {}, files) == [
        "the card speaks of 27459 samples, which is the count of no file: a 28000, b 8712"
    ]
