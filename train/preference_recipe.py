"""The tables [dpo] and [grpo] of a training recipe: how a guard goes on from its own right and wrong answers.

Both have every field of [sft] (train/sft_recipe.py) that says how a model is trained, with defaults of their own.
Paths are relative to the recipe's own folder.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from safety_reasoning.errors import UsageError
from safety_reasoning.recipe_file import checked, read_toml
from safety_reasoning.train.mine_write import MIXTURE
from safety_reasoning.train.sft_recipe import ModelRecipe, SftRecipe, TrainRecipe

_TABLES = frozenset({"mixture", "mine", "sft", "dpo", "grpo"})
"""Tables that a file may have besides the one that is read."""


class TuneRecipe(SftRecipe):
    """What [dpo] and [grpo] have in common."""

    without: ClassVar[tuple[str, ...]] = ("mixture", "packing", "verdict_weight", "group_by_length")
    """Fields of [sft] that have no meaning here."""

    mined: str | None = None
    """The folder that `train mine` made; None: `out` of [mine] in this file."""
    epochs: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Passes over the rows."""

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        named = sorted(set(self.without) & self.model_fields_set)
        if named:
            raise ValueError(f"{named[0]} is a field of [sft] alone: remove it")
        if self.too_long == "cut_prompt":
            raise ValueError('too_long = "cut_prompt": generations are of the whole prompt; use "drop" or "refuse"')
        if self.train_layers is not None and self.lora is None:
            raise ValueError("train_layers chooses the layers that have adapters: add lora, or remove it")
        return self


class DpoRecipe(TuneRecipe):
    """Direct preference optimisation on pairs of a right and a wrong generation of one row.

    The paper names it as open (Limitations); its figures are TRL's and those of Rafailov et al. (2305.18290).
    """

    method: ClassVar[str] = "dpo"

    samples: Literal["difficult", "mixed"] = "difficult"
    """Whose generations are paired: those of difficult rows, or of every row that has right and wrong ones."""
    pairs: int = Field(default=1, ge=1)
    """At most so many of a row. No two are the same, and no generation is taken twice before all were."""
    unparsed: bool = False
    """Also rejects answers without a verdict. Truncated ones are in no pair: they have no end to learn from."""
    beta: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    """How strongly the guard is held to what it was; smaller lets it move further."""
    loss: Literal["sigmoid", "ipo", "hinge", "robust"] = "sigmoid"
    """TRL's name of the loss; sigmoid is DPO's own."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of pairs taken to be the wrong way round; loss "robust" alone knows of it."""
    precompute: bool = False
    """Computes what the guard gave each answer before training, so that no second model is held in memory."""
    of_another_guard: bool = False
    """Allows generations of another guard than the one that is trained."""
    pairs_hash: str = ""
    """The hash that the pairs must have; '': whatever they have, which is filled in by the run."""

    @model_validator(mode="after")
    def _smoothed(self) -> Self:
        if self.label_smoothing and self.loss != "robust":
            raise ValueError(f'label_smoothing does nothing with loss = "{self.loss}": use "robust", or remove it')
        return self


class GrpoRecipe(TuneRecipe):
    """Group relative policy optimisation with the reward of train/reward.py (paper, Appendix F)."""

    method: ClassVar[str] = "grpo"

    samples: Literal["difficult", "all"] = "difficult"
    """Which rows are asked: the difficult ones, as in the paper's best run, or every row of the mixture."""
    batch_size: int = Field(default=64, ge=2)
    """Roll-outs of one step over all devices; a multiple of `rollouts`."""
    learning_rate: float = Field(default=1e-6, gt=0, allow_inf_nan=False)
    """The paper tried 1e-6 to 1e-5 (Appendix F)."""
    rollouts: int = Field(default=8, ge=2)
    """Answers to one prompt, which are compared with one another; the paper tried 4 to 16 (Appendix F)."""
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Of the roll-outs; the paper tried 0.6 to 1.4 in steps of 0.2 (Appendix F)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Of the roll-outs; the paper names none."""
    kl: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    """Weight of the distance to the guard that it began as; the paper tried 0 to 0.03 (Appendix F). 0 spares a second
    model in memory."""
    reply_tokens: int = Field(default=2048, ge=1)
    """The longest answer; `max_tokens` holds prompt and answer together."""
    max_tokens: int = Field(default=8192, ge=16)
    """Rows whose prompt and longest answer are more than that are left out, with their keys in left_out/."""
    prompt_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Of the prompt's verdict in the reward."""
    response_weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Of the response's."""
    missed_harm: float = Field(default=-2.0, le=0, allow_inf_nan=False)
    """What a missed harm is worth, where a right verdict is worth 1; an answer without a verdict is worth the same."""
    false_alarm: float = Field(default=-1.0, le=0, allow_inf_nan=False)
    """What a false alarm is worth."""
    format_weight: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    """What an answer in the form of its mode gains besides."""
    scale: Literal["batch", "group", "none"] = "batch"
    """By what advantages are divided: the spread of rewards in the whole batch, in the group of one prompt, or nothing.
    By group, a missed harm counts no more than a false alarm: where a prompt has one label, a group has two rewards,
    and their distance cancels out."""
    vllm: bool = False
    """Lets vLLM answer, on the GPUs that train, in place of transformers."""

    @model_validator(mode="after")
    def _grouped(self) -> Self:
        if self.batch_size % self.rollouts:
            raise ValueError(f"batch_size = {self.batch_size} is no multiple of rollouts = {self.rollouts}")
        if self.prompt_weight == self.response_weight == 0:
            raise ValueError("prompt_weight and response_weight are both 0: nothing would be learnt")
        if self.reply_tokens >= self.max_tokens:
            raise ValueError(f"reply_tokens = {self.reply_tokens} leaves no room for a prompt below max_tokens")
        return self


Tune = TypeVar("Tune", bound=TuneRecipe)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelRecipe


def load_tune_recipe(path: Path, kind: type[Tune]) -> tuple[ModelRecipe, Tune]:
    """The tables [model] and that of the method, their paths made absolute, `mined` and `mixture` filled in.

    Raises: UsageError naming the file, the field, what is wrong and what is allowed.
    """
    parsed = read_toml(path)
    table = kind.method
    if table not in parsed:
        raise UsageError(f"recipe {path} has no [{table}]", fix="add the table; recipes/train/mine has examples")
    model = checked(_File, {key: value for key, value in parsed.items() if key not in _TABLES}, path).model
    recipe = checked(kind, parsed[table], path, table=table)
    made = parsed.get("mine")
    mined = recipe.mined or (made.get("out") if isinstance(made, dict) else None)
    if not isinstance(mined, str):
        raise UsageError(
            f"recipe {path} names no mined rows",
            fix=f"add [mine], or `mined`, the folder of `train mine`, to [{table}]",
        )
    return _anchored(model, path.parent), _filled(recipe, path.parent, mined)


def _anchored(model: ModelRecipe, folder: Path) -> ModelRecipe:
    update: dict[str, Any] = {}
    if model.base.startswith((".", "/")):
        update["base"] = str((folder / model.base).resolve())
    if model.chat_template is not None:
        update["chat_template"] = str((folder / model.chat_template).resolve())
    return model.model_copy(update=update)


def _filled(recipe: Tune, folder: Path, mined: str) -> Tune:
    place = (folder / mined).resolve()
    return recipe.model_copy(
        update={"out": str((folder / recipe.out).resolve()), "mined": str(place), "mixture": str(place / MIXTURE)}
    )


def as_training(model: ModelRecipe, recipe: TuneRecipe) -> TrainRecipe:
    """The two tables where a training expects [model] and [sft], without what is this machine's affair."""
    return TrainRecipe(model=model, sft=recipe.model_copy(update={"mined": None}))
