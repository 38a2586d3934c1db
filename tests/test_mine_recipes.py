"""The recipes of difficult rows, DPO and GRPO: each is run, on a small mixture and with a tiny guard."""

import tomllib
from pathlib import Path

import pytest

from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.train.mine import mine
from safety_reasoning.train.mine_recipe import MineRecipe, load_mine_recipe
from safety_reasoning.train.mixture_recipe import load_mixture_recipe
from tests.conftest import ROOT
from tests.guard_server import live_guard
from tests.mining import safety_answer, whole_mixture, write_tiny_guard
from tests.tiny_model import mixture_row
from tests.trainings import Watching

pytest.importorskip("trl")

from safety_reasoning.train.grpo import train_grpo
from safety_reasoning.train.preference import train_dpo
from safety_reasoning.train.preference_recipe import DpoRecipe, GrpoRecipe, load_tune_recipe
from safety_reasoning.train.sft_recipe import load_sft_recipe
from safety_reasoning.train.training_quiet import quiet

quiet()
FOLDER = ROOT / "recipes" / "train"
RECIPES = sorted((FOLDER / "mine").glob("*.toml"))
ROWS = 16


def tables(path: Path) -> set[str]:
    return set(tomllib.loads(path.read_text(encoding="utf-8")))


def having(table: str) -> list[Path]:
    return [path for path in RECIPES if table in tables(path)]


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def half_right(number: int, seed: int) -> str:
    return safety_answer("harmful" if (number + seed) % 2 else "unharmful")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny guard, and the rows that it finds difficult."""
    folder = tmp_path_factory.mktemp("recipes")
    write_tiny_guard(folder / "guard")
    whole_mixture(folder / "mixture", [mixture_row(number) for number in range(ROWS)])
    with live_guard(half_right) as guard:
        recipe = small(load_mine_recipe(having("mine")[0]), folder, guard.url)
        mine(recipe.model_copy(update={"out": str(folder / "mined")}), Watching(), Ledger())
    return folder


def small(recipe: MineRecipe, place: Path, url: str) -> MineRecipe:
    """The recipe with its places and its engine exchanged."""
    engine = {"engine": "openai", "model": "guard", "base_urls": (url,)}
    return recipe.model_copy(
        update={
            "mixture": str(place / "mixture"),
            "guard": str(place / "guard"),
            "store": str(place / "store.sqlite"),
            "out": str(place / "out"),
            "releases": (),
            "engine": recipe.engine.model_copy(update=engine),
        }
    )


@named(having("mine"))
def test_a_recipe_mines_as_the_paper_does(path: Path, place: Path, tmp_path: Path) -> None:
    recipe = load_mine_recipe(path)
    assert (recipe.generations, recipe.keep, recipe.times) == (4, (2, 3), 1)
    assert (recipe.sampling.temperature, recipe.sampling.top_p) == (0.6, 0.95)
    with live_guard(half_right) as guard:
        changes = {"store": str(tmp_path / "store.sqlite"), "out": str(tmp_path / "out")}
        found = mine(small(recipe, place, guard.url).model_copy(update=changes), Watching(), Ledger())
    assert found.stated["report"]["kinds"]["difficult"] == ROWS


def test_the_second_stage_of_table_1_begins_where_mining_ends() -> None:
    mined = load_mine_recipe(FOLDER / "mine" / "table1_wildguardmix_r.toml")
    second = FOLDER / "table1_wildguardmix_r_continual.toml"
    mixture, training = load_mixture_recipe(second), load_sft_recipe(second)
    assert mixture.oversample is not None and mixture.oversample.keys == f"{mined.out}/difficult.parquet"
    assert training.model.base == mined.guard
    first = FOLDER / "table1_wildguardmix_r_full.toml"
    assert load_mixture_recipe(first).out == mined.mixture
    assert f"{load_sft_recipe(first).sft.out}/guard" == mined.guard
    assert load_mixture_recipe(first).parts == mixture.parts and mixture.oversample.times == mined.times


@named(having("dpo"))
def test_a_dpo_recipe_trains_two_steps(path: Path, place: Path) -> None:
    model, recipe = load_tune_recipe(path, DpoRecipe)
    assert Path(recipe.mined or "") in {Path(load_mine_recipe(other).out) for other in having("mine")}
    changes = {"mined": str(place / "mined"), "mixture": str(place / "mined/mixture"), "out": str(place / path.stem)}
    sizes = {"max_steps": 2, "batch_size": 4, "max_tokens": 1024}
    base = model.model_copy(update={"base": str(place / "guard")})
    assert train_dpo(base, recipe.model_copy(update=changes | sizes), Watching()).steps == 2


@named(having("grpo"))
def test_a_grpo_recipe_trains_two_steps(path: Path, place: Path) -> None:
    model, recipe = load_tune_recipe(path, GrpoRecipe)
    assert 0.6 <= recipe.temperature <= 1.4 and 4 <= recipe.rollouts <= 16
    assert 1e-6 <= recipe.learning_rate <= 1e-5 and 0 <= recipe.kl <= 0.03
    assert recipe.missed_harm < recipe.false_alarm and recipe.scale != "group"
    assert model.base.endswith("table1_wildguardmix_r_5k/run/guard")
    changes = {"mined": str(place / "mined"), "mixture": str(place / "mined/mixture"), "out": str(place / path.stem)}
    sizes = {"max_steps": 2, "reply_tokens": 8, "max_tokens": 512, "device_batch_size": 32, "vllm": False}
    base = model.model_copy(update={"base": str(place / "guard")})
    assert train_grpo(base, recipe.model_copy(update=changes | sizes), Watching()).steps == 2


def test_the_headers_name_where_the_paper_speaks_of_it() -> None:
    for path in RECIPES:
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert any(word in first for word in ("Table 1", "Limitations", "Appendix F")), path.name
