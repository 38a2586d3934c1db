"""Recipes: what loads, and what is said of one that does not."""

from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.errors import UsageError
from tests.conftest import ROOT, openai_teacher, write_recipe

RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
URL = "http://127.0.0.1:1/v1"


def recipe(folder: Path, **changes: Any) -> Path:
    parts: dict[str, Any] = {
        "sources": [{"kind": "aegis", "path": "rows"}],
        "teachers": [openai_teacher("a", URL)],
    }
    return write_recipe(folder / "recipe.toml", **(parts | changes))


@pytest.mark.parametrize("path", RECIPES, ids=[p.name for p in RECIPES])
def test_every_recipe_of_the_project_loads(path: Path) -> None:
    loaded = load_recipe(path)
    for source in loaded.sources:
        assert source.path.startswith("hf://") or Path(source.path).is_dir()


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    loaded = load_recipe(recipe(tmp_path))
    assert loaded.sources[0].path == str(tmp_path / "rows")
    assert loaded.release.store == str(tmp_path / "store.sqlite")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": "red"}, "release.colour: unknown key"),
        ({"keep": "most"}, "release.keep = 'most'"),
        ({"keep": "b"}, "use any, majority, all or a"),
        ({"version": "1.0"}, "release.version"),
        ({"teachers": [openai_teacher("Qwen-3", URL)]}, "teachers.0.name"),
        ({"teachers": [openai_teacher("3b", URL)]}, "teachers.0.name"),
        ({"teachers": [openai_teacher("a b", URL)]}, "teachers.0.name"),
        ({"teachers": [openai_teacher("trace_a", URL)]}, "trace_"),
        ({"teachers": [openai_teacher("all", URL)]}, "'all' is a keep rule"),
        ({"teachers": [openai_teacher("a", URL), openai_teacher("a", URL)]}, "two teachers are named 'a'"),
        ({"teachers": [openai_teacher("a", URL, base_urls=[])]}, "needs `base_urls` and `model`"),
        ({"teachers": [openai_teacher("a", "127.0.0.1:8000/v1")]}, "teachers.0.base_urls.0"),
        ({"teachers": [openai_teacher("a", URL, api_key="x")]}, "teachers.0.api_key: unknown key"),
        ({"teachers": [openai_teacher("a", URL, model="")]}, "needs `base_urls` and `model`"),
        ({"teachers": [openai_teacher("a", URL, full={"temp": 1})]}, "teachers.0.full.temp: unknown key"),
        ({"teachers": [openai_teacher("a", URL, full={"temperature": -1})]}, "teachers.0.full.temperature"),
        ({"teachers": [openai_teacher("a", URL, predict={"max_tokens": 0})]}, "teachers.0.predict.max_tokens"),
        ({"teachers": [openai_teacher("a", URL), openai_teacher("b", URL)], "keep": "c"}, "majority, all or a, b"),
        ({"teachers": [openai_teacher("a" * 65, URL)]}, "teachers.0.name"),
        ({"verdict": "guess"}, "release.verdict"),
        ({"columns": "short"}, "release.columns"),
        ({"sources": [{"kind": "aegis"}]}, "sources.0.path"),
        ({"sources": [{"kind": "other", "path": "x"}]}, "sources.0.kind"),
        ({"sources": [{"kind": "aegis", "path": "x", "select": {"rule": "most"}}]}, "sources.0.select.rule"),
        ({"sources": [{"kind": "aegis", "path": "x", "select": {"cap": 1}}]}, "sources.0.select.cap: unknown key"),
        ({"teachers": [openai_teacher("a", URL, engine="magic")]}, "teachers.0.engine"),
        ({"teachers": [openai_teacher("a", URL, engine="embedded")]}, "serves itself"),
        ({"teachers": []}, "needs at least one [[teachers]]"),
        ({"sources": []}, "sources"),
        ({"sources": [{"kind": "published", "path": "x"}]}, "a published source has its traces"),
        ({"sources": [{"kind": "aegis", "path": "x", "split": "all"}]}, "sources.0.split"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_recipe_that_cannot_be_used_names_file_and_field(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = recipe(tmp_path, **changes)
    with pytest.raises(UsageError) as error:
        load_recipe(path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "Value error" not in str(error.value)


@pytest.mark.parametrize("text", ["[release", "a = 1\n\xff", None], ids=["not TOML", "not UTF-8", "not there"])
def test_a_file_that_is_no_recipe_is_an_error(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "recipe.toml"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"recipe\.toml"):
        load_recipe(path)


def test_every_fault_of_a_recipe_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load_recipe(recipe(tmp_path, colour="red", version="1", teachers=[openai_teacher("A", URL)]))
    assert all(said in str(error.value) for said in ("release.colour", "release.version", "teachers.0.name"))


@pytest.mark.parametrize("missing", ["name", "out", "store"])
def test_a_release_without_a_required_key_is_an_error_that_names_it(tmp_path: Path, missing: str) -> None:
    path = recipe(tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines.remove(next(line for line in lines if line.startswith(f"{missing} = ")))
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(UsageError, match=rf"release\.{missing}: Field required"):
        load_recipe(path)


@pytest.mark.parametrize("keep", ["any", "majority", "all", "b"])
def test_a_keep_rule_may_name_a_teacher(tmp_path: Path, keep: str) -> None:
    teachers = [openai_teacher("a", URL), openai_teacher("b", URL)]
    assert load_recipe(recipe(tmp_path, teachers=teachers, keep=keep)).release.keep == keep


def test_hub_sources_keep_their_address_and_folders_are_found_from_the_recipe(tmp_path: Path) -> None:
    hub = {"kind": "aegis", "path": "hf://datasets/a/b", "revision": "v1", "suicide_detection": "../texts"}
    (source,) = load_recipe(recipe(tmp_path / "recipes", sources=[hub])).sources
    assert source.path == "hf://datasets/a/b"
    assert source.suicide_detection == str(tmp_path / "texts")


def test_a_key_given_by_mistake_is_not_repeated(tmp_path: Path) -> None:
    path = recipe(tmp_path, teachers=[openai_teacher("a", URL, api_key="sk-secret-123")])
    with pytest.raises(UsageError) as error:
        load_recipe(path)
    assert "sk-secret" not in str(error.value)
