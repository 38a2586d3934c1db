"""What a mixture's recipe, releases and place can get wrong, and what is said of it before anything is written."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.train.mixture_read import read_mixture
from safety_reasoning.train.mixture_recipe import load_mixture_recipe
from tests.conftest import Run, tree
from tests.mixtures import mixed, safety, topic, traces, write_mixture_recipe, write_release

SAFETY: dict[str, Any] = {"release": "release", "task": "content_safety"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mode": "thinking"}, "mixture.mode: Input should be 'reasoning', 'non_reasoning' or 'dual'"),
        ({"colour": "red"}, "mixture.colour: unknown key"),
        ({"trace": "short"}, "mixture.trace: Input should be 'full' or 'efficient'"),
        ({"sentences": 3}, "a full trace has no budget"),
        ({"trace": "efficient", "sentences": 11}, "mixture.sentences"),
        ({"mark": {"place": "suffix"}}, 'a mark tells two modes apart, and mode is "reasoning"'),
        ({"mode": "dual", "mark": {"place": "middle"}}, "mixture.mark.place"),
        ({"mode": "dual", "mark": {"on": "x", "off": "x"}}, "must be two different texts"),
        ({"mode": "dual", "mark": {"on": ""}}, "must be two different texts"),
        ({"mode": "dual", "mark": {"place": "template", "on": "x"}}, "a mark in the chat template has no text"),
        ({"teachers": ["Qwen-3"]}, "mixture.teachers.0"),
        ({"teachers": ["a", "a"]}, "a teacher is named twice"),
        ({"choice": "worst"}, "mixture.choice"),
        ({"policy": "p.md", "taxonomy": "aegis"}, "give one of the two"),
        ({"version": "1"}, "mixture.version"),
        ({"oversample": {"keys": "k.parquet", "times": 0}}, "mixture.oversample.times"),
        ({"decontaminate": {"benchmarks": "b.toml", "ngram": 1}}, "mixture.decontaminate.ngram"),
        ({"decontaminate": {"benchmarks": "b.toml", "min_share": 0.0}}, "mixture.decontaminate.min_share"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_recipe_that_cannot_be_meant_is_refused_with_the_field(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    recipe = write_mixture_recipe(tmp_path / "r.toml", **changes)
    with pytest.raises(UsageError) as error:
        load_mixture_recipe(recipe)
    assert told in str(error.value)
    assert str(recipe) in str(error.value)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (SAFETY | {"size": 0}, "mixture.parts.0.size"),
        (SAFETY | {"task": "safety"}, "mixture.parts.0.task: Input should be 'content_safety' or 'topic_control'"),
        (SAFETY | {"rows": 3}, "mixture.parts.0.rows: unknown key"),
        ({"release": "release"}, "mixture.parts.0.task: Field required"),
    ],
    ids=["no rows", "unknown task", "unknown key", "no task"],
)
def test_a_part_that_cannot_be_meant_is_refused_with_the_field(tmp_path: Path, part: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as error:
        load_mixture_recipe(write_mixture_recipe(tmp_path / "r.toml", part))
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [("mode = [", "is not TOML"), ("[model]\nname = 'x'", "has no [mixture]"), (None, "cannot be read")],
    ids=["no TOML", "no table", "no file"],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "r.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="recipe") as error:
        load_mixture_recipe(path)
    assert told in error.value.what


def test_the_same_part_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two parts are the same task of the same release"):
        load_mixture_recipe(write_mixture_recipe(tmp_path / "r.toml", SAFETY, SAFETY | {"size": 3}))


def silent(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows with every trace of `a` null."""
    nothing = {"safety_reasoning_a": None, "efficient_safety_reasoning_trace_a": None}
    return [row | nothing for row in rows]


@pytest.mark.parametrize(
    ("rows", "fields", "what", "why"),
    [
        ([safety(0)], {"teachers": ["b"]}, "has no teacher 'b' in content_safety", "its teachers are a"),
        (silent(safety(0)), {"teachers": ["a"]}, "no full trace of a", "not asked for it"),
        (silent(safety(0)), {}, "no full trace of a", "not asked for it"),
        (
            [safety(0, efficient_safety_reasoning_trace_a=None)],
            {"teachers": ["a"], "trace": "efficient"},
            "no efficient trace of a",
            "not asked for it",
        ),
        ([safety(0)], {"trace": "efficient", "sentences": 2}, "does not state", "no manifest that says so"),
        (
            [safety(n, **traces("a", n, mismatch=True)) for n in range(3)],
            {},
            "nothing is left to train on",
            "left out: 3 × mismatch",
        ),
    ],
    ids=["no such teacher", "null by name", "null by default", "no efficient", "no budget", "all mismatched"],
)
def test_a_release_without_what_is_wanted_is_refused(
    tmp_path: Path, rows: list[dict[str, Any]], fields: dict[str, Any], what: str, why: str
) -> None:
    write_release(tmp_path / "release", rows)
    with pytest.raises(UsageError) as error:
        mixed(write_mixture_recipe(tmp_path / "r.toml", **fields))
    assert what in error.value.what
    assert why in error.value.why
    assert error.value.fix
    assert not (tmp_path / "mixture").exists()


def test_a_subset_larger_than_there_is_says_how_many_there_are_and_why(tmp_path: Path) -> None:
    rows = [safety(n, **traces("a", n, mismatch=n < 2)) for n in range(6)]
    write_release(tmp_path / "release", rows)
    with pytest.raises(UsageError, match="asks for 5 rows of content_safety, and 4 ") as error:
        mixed(write_mixture_recipe(tmp_path / "r.toml", SAFETY | {"size": 5}))
    assert error.value.why == "left out: 2 × mismatch"


def test_a_task_that_the_release_lacks_is_refused(tmp_path: Path) -> None:
    write_release(tmp_path / "release", topics=[topic(1)])
    with pytest.raises(UsageError, match="has no records of content_safety") as error:
        mixed(write_mixture_recipe(tmp_path / "r.toml"))
    assert error.value.why == "it has topic_control"


def test_a_release_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder that is there"):
        mixed(write_mixture_recipe(tmp_path / "r.toml"))


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read"), (b"\xff\xfe\x00", "cannot be read"), (b" \n", "is empty"), (b"x" * 1_048_577, "larger")],
    ids=["absent", "no text", "empty", "huge"],
)
def test_a_policy_that_is_none_is_refused(tmp_path: Path, content: bytes | None, told: str) -> None:
    write_release(tmp_path / "release", [safety(0)])
    if content is not None:
        (tmp_path / "policy.md").write_bytes(content)
    with pytest.raises(UsageError, match=told):
        mixed(write_mixture_recipe(tmp_path / "r.toml", policy="policy.md"))


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (None, "cannot be read"),
        (pl.DataFrame({"id": ["x"]}), "cannot be read"),
        (pl.DataFrame({"key": ["x"]}), "none of the 1 keys to oversample is in the mixture"),
    ],
    ids=["absent", "no keys", "other keys"],
)
def test_keys_to_oversample_that_are_none_are_refused(tmp_path: Path, frame: pl.DataFrame | None, told: str) -> None:
    write_release(tmp_path / "release", [safety(0)])
    if frame is not None:
        frame.write_parquet(tmp_path / "keys.parquet")
    with pytest.raises(UsageError, match=told):
        mixed(write_mixture_recipe(tmp_path / "r.toml", oversample={"keys": "keys.parquet"}))


def a_foreign_folder(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("years of work", encoding="utf-8")


def a_release(out: Path) -> None:
    out.mkdir()
    (out / "manifest.json").write_text("{}", encoding="utf-8")


def a_link(out: Path) -> None:
    a_foreign_folder(out.with_name("target"))
    out.symlink_to("target", target_is_directory=True)


def a_file(out: Path) -> None:
    out.write_text("years of work", encoding="utf-8")


@pytest.mark.parametrize("make", [a_foreign_folder, a_release, a_link, a_file])
def test_what_is_no_mixture_is_never_replaced(tmp_path: Path, make: Any) -> None:
    write_release(tmp_path / "release", [safety(0)])
    make(tmp_path / "mixture")
    before = tree(tmp_path)
    with pytest.raises(UsageError, match=r"is not a folder|is no mixture"):
        mixed(write_mixture_recipe(tmp_path / "r.toml"))
    assert {name: data for name, data in tree(tmp_path).items() if name != "r.toml"} == before


def test_a_release_that_breaks_off_leaves_the_mixture_before_it(tmp_path: Path, release: Path) -> None:
    write_release(tmp_path / "release", [safety(0)])
    mixed(write_mixture_recipe(tmp_path / "r.toml"))
    before = tree(tmp_path / "mixture")
    (tmp_path / "cut").mkdir()
    whole = (release / "data/content_safety/train-00000-of-00001.parquet").read_bytes()
    middle = len(whole) // 3
    (tmp_path / "cut/rows.parquet").write_bytes(whole[:100] + b"\0" * (middle - 100) + whole[middle:])
    with pytest.raises(UsageError, match=r"rows\.parquet cannot be read"):
        mixed(write_mixture_recipe(tmp_path / "r.toml", {"release": "cut", "task": "content_safety"}))
    assert tree(tmp_path / "mixture") == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut", "mixture", "r.toml", "release"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    write_release(tmp_path / "release", [safety(0)])
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        mixed(write_mixture_recipe(tmp_path / "r.toml", out="file/mixture"))


def test_the_command_says_it_in_words_and_ends_with_2(tmp_path: Path, run: Run) -> None:
    write_release(tmp_path / "release", [safety(0)])
    done = run("train", "mix", write_mixture_recipe(tmp_path / "r.toml", teachers=["qwen3_32b"]))
    assert done.returncode == 2
    assert "has no teacher 'qwen3_32b'" in done.stderr
    assert "Traceback" not in done.stderr


def a_changed_row(folder: Path) -> None:
    path = folder / "data/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def a_missing_file(folder: Path) -> None:
    (folder / "data/train-00000-of-00001.parquet").unlink()


def no_statement(folder: Path) -> None:
    (folder / "mixture.json").unlink()


def another_statement(folder: Path) -> None:
    (folder / "mixture.json").write_text("[]", encoding="utf-8")


def no_rows(folder: Path) -> None:
    stated = json.loads((folder / "mixture.json").read_text(encoding="utf-8"))
    (folder / "mixture.json").write_text(json.dumps(stated | {"files": {}}), encoding="utf-8")


@pytest.mark.parametrize("damage", [a_changed_row, a_missing_file, no_statement, another_statement, no_rows])
def test_a_damaged_mixture_is_not_trained_on(tmp_path: Path, damage: Any) -> None:
    write_release(tmp_path / "release", [safety(0)])
    mixed(write_mixture_recipe(tmp_path / "r.toml"))
    damage(tmp_path / "mixture")
    with pytest.raises(UsageError, match=r"mixture|is not the file|has 0 rows"):
        read_mixture(tmp_path / "mixture")
