"""Everything about a training that can be wrong, looked at before anything long begins."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.release import TRAINING
from safety_reasoning.train.conversations import Mark
from safety_reasoning.train.metrics import check_reporters
from safety_reasoning.train.mixture_read import Mixture, read_mixture
from safety_reasoning.train.model_load import BaseModel, embedded_file, open_base
from safety_reasoning.train.model_template import guard_template
from safety_reasoning.train.sft_lengths import Fitted, fit
from safety_reasoning.train.sft_recipe import EMBEDDED, TrainRecipe
from safety_reasoning.train.sft_rows import row_tokenizer
from safety_reasoning.train.training_arguments import Devices, find_devices, sft_config
from safety_reasoning.train.training_folder import Run, RunFolder, describe
from safety_reasoning.train.training_progress import TrainingProgress

if TYPE_CHECKING:
    from trl.trainer.sft_config import SFTConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A training that can begin."""

    recipe: TrainRecipe
    folder: RunFolder
    base: BaseModel
    mixture: Mixture
    devices: Devices
    config: "SFTConfig"
    run: Run
    switch: Mark | None
    """The marks that the guard's chat template puts into prompts; None for none."""

    @property
    def layers(self) -> int:
        """Of the model."""
        return int(self.base.config.num_hidden_layers)


def prepare(recipe: TrainRecipe, progress: TrainingProgress) -> Prepared:
    """The training of a recipe, found possible as far as the rows' lengths do not matter.

    Raises: UsageError if it is not, saying which part of it.
    """
    folder = RunFolder(Path(recipe.sft.out))
    mixture = read_mixture(Path(recipe.sft.mixture or ""))
    progress.stage("opening the model")
    opened = open_parts(recipe, mixture.mark)
    base = opened.base
    run = describe(
        recipe.sft,
        commit=base.commit,
        base=_identity(recipe, base),
        template=hashlib.sha256(base.tokenizer.chat_template.encode()).hexdigest(),
        mixture_hash=mixture.hash,
    )
    folder.check(run)
    return Prepared(
        recipe=recipe,
        folder=folder,
        base=base,
        mixture=mixture,
        devices=opened.devices,
        config=opened.config,
        run=run,
        switch=opened.switch,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a training does not depend on the rows."""

    base: BaseModel
    """Its tokenizer has the guard's chat template."""
    devices: Devices
    config: "SFTConfig"
    switch: Mark | None


def open_parts(recipe: TrainRecipe, mark: Mark | None) -> Parts:
    """The parts of a training on rows that are marked so.

    Raises: UsageError if the model cannot be read or trained as the recipe says, or has no chat template.
    """
    check_reporters(recipe.sft.report_to)
    base = open_base(recipe.model)
    devices = find_devices()
    config = sft_config(recipe.sft, devices, RunFolder(Path(recipe.sft.out)).checkpoints)
    _check_size(recipe, base)
    template, switch = guard_template(base.tokenizer, mark, enable_thinking=recipe.model.enable_thinking)
    base.tokenizer.chat_template = template
    return Parts(base, devices, config, switch)


def read_rows(prepared: Prepared, progress: TrainingProgress) -> Fitted:
    """The mixture's rows as tokens, as the recipe fits them into sequences; says how many are too long.

    Raises: UsageError if the recipe refuses some, or none is left.
    """
    progress.stage(f"reading {prepared.mixture.rows} rows as tokens")
    tokenizer, recipe = prepared.base.tokenizer, prepared.recipe.sft
    tokens = map(row_tokenizer(tokenizer, tokenizer.chat_template), prepared.mixture.records())
    fitted = fit(tokens, recipe.max_tokens, recipe.too_long)
    progress.stage(in_words(fitted.summary()))
    return fitted


def in_words(summary: dict[str, Any]) -> str:
    """The lengths of the rows, and what becomes of those that are too long."""
    said = (
        f"{summary['rows']} rows of {summary['median_tokens']} tokens (median) to {summary['longest_tokens']}, "
        f"{summary['tokens']} in all, {summary['completion_tokens']} of them taught"
    )
    if not (summary["dropped"] or summary["prompt_cut"]):
        return said
    return (
        f"{said}; more than {summary['max_tokens']} tokens: {summary['dropped']} rows left out, "
        f"{summary['prompt_cut']} with a cut prompt"
    )


def _check_size(recipe: TrainRecipe, base: BaseModel) -> None:
    limit = getattr(base.config, "max_position_embeddings", None)
    if limit is not None and recipe.sft.max_tokens > limit:
        raise UsageError(
            f"{recipe.sft.method}.max_tokens = {recipe.sft.max_tokens} is more than the model reads",
            why=f"its context has {limit} tokens",
            fix=f"set max_tokens = {limit} or less",
        )
    layers, wanted = int(base.config.num_hidden_layers), recipe.sft.train_layers
    if wanted is not None and wanted > layers:
        raise UsageError(
            f"{recipe.sft.method}.train_layers = {wanted}, but the model has {layers} layers", fix="name fewer"
        )


def _identity(recipe: TrainRecipe, base: BaseModel) -> str:
    """What the run began from: a repository, the embedded file, or what the folder's weights are."""
    if recipe.model.base == EMBEDDED:
        return embedded_file().name
    if base.repo is not None:
        return base.repo
    folder = Path(recipe.model.base)
    said = [f"{file.name}:{file.stat().st_size}" for file in sorted(folder.glob("*.safetensors"))]
    said += [base.config.to_json_string(), *(file.read_text("utf-8") for file in folder.glob(TRAINING))]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
