"""The table [mine] of a training recipe: which guard is asked about which rows, and what counts as difficult.

Paths are relative to the recipe's own folder. The defaults are the paper's (section 5.6): four generations at
temperature 0.6 and top-p 0.95, difficult where two or three of them are right.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from safety_reasoning.builders.recipe import EngineRecipe, Sampling
from safety_reasoning.errors import UsageError
from safety_reasoning.recipe_file import checked, read_toml

_HUB = "hf://"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class MineRecipe(_Section):
    """Which rows of a mixture are difficult for a guard."""

    mixture: str
    """The folder of the mixture whose rows are asked about, as `train mix` made it."""
    guard: str | None = None
    """The folder of the guard that is served; its files say which one it is. None: it is known by `engine.model`
    alone, and nothing notices if another one is served under that name."""
    out: str
    """The folder of what is found. It is replaced as a whole, and only if it is one or empty."""
    store: str
    """The SQLite file that keeps every generation; outside of `out`."""
    generations: int = Field(default=4, ge=2, le=64)
    """How often each row is asked, each time with another seed (N of section 5.6)."""
    keep: tuple[int, int] = (2, 3)
    """A row is difficult if at least and at most so many of its generations are right."""
    times: int = Field(default=1, ge=1)
    """How often each difficult row is in the new mixture besides."""
    sampling: Sampling = Sampling()
    """How the guard is asked: temperature 0.6 and top-p 0.95, as the paper samples (section 4.2)."""
    engine: EngineRecipe
    """Where the guard answers; see builders/recipe.py."""
    releases: tuple[str, ...] = ()
    """The releases that the mixture is from: the report then counts by category, and by whether each teacher agreed
    with the label."""
    name: str | None = Field(default=None, min_length=1)
    """The new mixture's name; None: the old one's, and how often difficult rows are in it."""
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = "0.1.0"
    """The semantic version that the new mixture states."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        low, high = self.keep
        if not 1 <= low <= high < self.generations:
            raise ValueError(
                f"keep = [{low}, {high}]: of {self.generations} generations, at least 1 and at most "
                f"{self.generations - 1} can be right of a difficult row, the smaller number first"
            )
        if Path(self.store).is_relative_to(Path(self.out)):
            raise ValueError("`store` lies in `out`, which is replaced as a whole: name a place beside it")
        if self.engine.engine == "embedded":
            raise ValueError('engine "embedded" runs SmolLM2 and no guard: use "openai", "vllm" or "ray"')
        if self.sampling.retry_max_tokens is not None:
            raise ValueError("a truncated generation is asked for once: leave `sampling.retry_max_tokens` out")
        return self


def load_mine_recipe(path: Path) -> MineRecipe:
    """The table [mine] of a file, its paths made absolute.

    Raises: UsageError naming the file, the field, what is wrong and what is allowed.
    """
    parsed = read_toml(path)
    if "mine" not in parsed:
        raise UsageError(f"recipe {path} has no [mine]", fix="add the table; recipes/train/mine has examples")
    return _anchored(checked(MineRecipe, parsed["mine"], path, table="mine"), path.parent)


def _anchored(recipe: MineRecipe, folder: Path) -> MineRecipe:
    def absolute(path: str) -> str:
        return path if path.startswith(_HUB) else str((folder / path).resolve())

    engine = recipe.engine
    model = absolute(engine.model) if engine.model.startswith((".", "/")) else engine.model
    update: dict[str, Any] = {
        "mixture": absolute(recipe.mixture),
        "guard": recipe.guard and absolute(recipe.guard),
        "out": absolute(recipe.out),
        "store": absolute(recipe.store),
        "releases": tuple(absolute(release) for release in recipe.releases),
        "engine": engine.model_copy(
            update={
                "model": model,
                "ray": engine.ray.model_copy(update={"parts": engine.ray.parts and absolute(engine.ray.parts)}),
            }
        ),
    }
    return recipe.model_copy(update=update)
