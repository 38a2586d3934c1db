"""The recipe of a run: one TOML file that says which guard is asked about which tasks, where, and how.

Paths are relative to the recipe's own folder. Unknown keys are errors.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from safety_reasoning.builders.recipe import EngineRecipe, Sampling, TeacherName
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.load import CountsRule
from safety_reasoning.recipe_file import checked, read_toml

_HUB = "hf://"
Preset = Literal["paper", "deploy"]
_PRESETS: dict[str, tuple[int, float, float]] = {"paper": (4, 0.6, 0.95), "deploy": (1, 0.0, 1.0)}
"""(generations, temperature, top-p). paper: section 4.2. deploy: rails call their guards greedily, once."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class AskRecipe(_Section):
    """How a guard is sampled."""

    preset: Preset = "deploy"
    """paper: four generations at temperature 0.6 and top-p 0.95. deploy: one, greedy."""
    max_tokens: int = Field(default=4096, ge=1)
    """The limit of one reply, reasoning included; one that meets it has no verdict (`truncated`)."""
    logprobs: int = Field(default=5, ge=0, le=20)
    """So many alternatives of each token are asked for, for the probability of a verdict; 0 for servers that refuse
    them."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, as the server documents them (top_k, chat_template_kwargs, …)."""
    seed: int = 0
    """Of the first generation; the others count on from it. It also chooses the rows of `limit`."""

    @property
    def generations(self) -> int:
        """How often each item is asked."""
        return _PRESETS[self.preset][0]

    @property
    def sampling(self) -> Sampling:
        """As engines take it."""
        _, temperature, top_p = _PRESETS[self.preset]
        return Sampling(
            temperature=temperature,
            top_p=top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            extra_body=self.extra_body,
        )


class WholeRunRecipe(AskRecipe):
    """The table [run]: what is asked."""

    name: str = Field(min_length=1)
    """How reports name the run."""
    out: str
    """The folder of the run. It is replaced as a whole, and only if it is a run or empty."""
    store: str | None = None
    """The SQLite file that keeps every reply; None: beside `out`, with `.sqlite` after its name."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """The tasks, by name (`safety-reasoning eval benchmarks` lists them)."""
    limit: int | None = Field(default=None, ge=1)
    """So many items of each task, chosen by `seed`; None: all. A smaller limit's are among a larger one's."""
    counts: CountsRule = "declared"
    """declared: a file with other counts than its task declares is refused. as they are: it is read, and the
    difference stated."""
    paper_row: str | None = None
    """The paper's row that reports put this run beside; None: none, or what its name says."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        twice = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if twice:
            raise ValueError(f"tasks: {twice[0]!r} is named twice")
        if self.store is not None and Path(self.store).is_relative_to(Path(self.out)):
            raise ValueError("`store` lies in `out`, which is replaced as a whole: name a place beside it")
        return self


class GuardRecipe(_Section):
    """The table [guard]: who is asked."""

    adapter: str = "ours"
    """Which guard it is (docs/guards.md lists them)."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The adapter's own: `mode`, `folder`, `taxonomy`, …"""
    policy: str | None = None
    """A text file with the policy that every item is judged by, in place of its task's or the guard's taxonomy."""
    grammar: str | None = None
    """engine embedded: the grammar that answers are forced into, by the name of its prompt (`classify_safety`,
    `classify_topic_no_reasoning`); a model that small keeps to no format without one."""


class GuardEngine(EngineRecipe):
    """The table [engine]: where the guard answers; every field of `EngineRecipe` (builders/recipe.py)."""

    name: TeacherName = "guard"
    """How the store and the progress name it."""

    @property
    def title(self) -> str:
        """See `EngineRecipe.title`."""
        return f"guard {self.name}"


class RunRecipe(_Section):
    """A whole run."""

    run: WholeRunRecipe
    guard: GuardRecipe = GuardRecipe()
    engine: GuardEngine | None = None
    """None for guards without a model (always_positive, keyword, refusal_expression)."""
    places: dict[str, str] = Field(default_factory=dict)
    """By task, a local file or folder in the upstream format; a task without one is read from the Hub."""
    presets: dict[str, str] = Field(default_factory=dict)
    """By task, the preset of its label rule; a task without one has its default."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        for table, named in (("places", self.places), ("presets", self.presets)):
            other = sorted(set(named) - set(self.run.tasks))
            if other:
                raise ValueError(f"{table}.{other[0]} is not among run.tasks")
        return self

    @property
    def store(self) -> Path:
        """The SQLite file that keeps every reply."""
        return Path(self.run.store or f"{self.run.out}.sqlite")


class GuardOnly(BaseModel):
    """What `classify` reads of a run's recipe: the guard, where it answers and how it is sampled."""

    model_config = ConfigDict(frozen=True)

    guard: GuardRecipe = GuardRecipe()
    engine: GuardEngine | None = None


def load_run_recipe(path: Path) -> RunRecipe:
    """The recipe in a file, its paths made absolute.

    Raises: UsageError naming the file, the field, what is wrong and what is allowed.
    """
    parsed = read_toml(path)
    if "run" not in parsed:
        raise UsageError(f"recipe {path} has no [run]", fix="add the table; recipes/eval has examples")
    recipe = checked(RunRecipe, parsed, path)
    run, folder = recipe.run, path.parent
    asked = {"out": absolute(run.out, folder), "store": run.store and absolute(run.store, folder)}
    return recipe.model_copy(
        update={
            "run": run.model_copy(update=asked),
            "guard": anchored_guard(recipe.guard, folder),
            "engine": recipe.engine and anchored_engine(recipe.engine, folder),
            "places": {task: absolute(place, folder) for task, place in recipe.places.items()},
        }
    )


def anchored_guard(guard: GuardRecipe, folder: Path) -> GuardRecipe:
    """The same with paths that are absolute."""
    settings = dict(guard.settings)
    if isinstance(settings.get("folder"), str):
        settings["folder"] = absolute(settings["folder"], folder)
    return guard.model_copy(update={"settings": settings, "policy": guard.policy and absolute(guard.policy, folder)})


def anchored_engine(engine: GuardEngine, folder: Path) -> GuardEngine:
    """The same with paths that are absolute; a model is a path where it starts with a dot or a slash."""
    parts = engine.ray.parts and absolute(engine.ray.parts, folder)
    model = absolute(engine.model, folder) if engine.model.startswith((".", "/")) else engine.model
    return engine.model_copy(update={"model": model, "ray": engine.ray.model_copy(update={"parts": parts})})


def absolute(path: str, folder: Path) -> str:
    """A path of a recipe, from the recipe's folder on; places on the Hub stay."""
    return path if path.startswith(_HUB) else str((folder / path).resolve())
