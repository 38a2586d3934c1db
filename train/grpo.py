"""Group relative policy optimisation with TRL: a guard answers, and learns from which answers are worth more.

The paper's Appendix F: it goes on from a guard that was fine-tuned on 5,000 rows, on rows that it finds difficult.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.train.metrics import reporters
from safety_reasoning.train.mine_read import MinedFolder, read_mined
from safety_reasoning.train.preference_lengths import fit_prompts
from safety_reasoning.train.preference_recipe import GrpoRecipe, as_training
from safety_reasoning.train.reward_grpo import LABELS, reward_function
from safety_reasoning.train.sft_recipe import ModelRecipe
from safety_reasoning.train.sft_rows import row_tokenizer
from safety_reasoning.train.training import Trained, finished, tune
from safety_reasoning.train.training_arguments import lora_config, shared_settings, weights_dtype
from safety_reasoning.train.training_prepare import Prepared, prepare
from safety_reasoning.train.training_progress import StopAsked, TrainingProgress

Rows = Sequence[Mapping[str, Any]]


def train_grpo(model: ModelRecipe, recipe: GrpoRecipe, progress: TrainingProgress) -> Trained:
    """Train the guard on what its answers are worth, or go on with it.

    Raises: UsageError if it cannot be trained; Stopped, with a checkpoint kept, if a stop was asked for.
    """
    _check_vllm(recipe)
    mined = read_mined(Path(recipe.mined or ""))
    prepared = prepare(as_training(model, recipe), progress)
    _check_mark(prepared)
    if (before := finished(prepared.folder)) is not None:
        return before
    progress.stage("reading prompts as tokens")
    tokenizer = prepared.base.tokenizer
    tokens = row_tokenizer(tokenizer, tokenizer.chat_template)
    rows, fitted = fit_prompts(asked(recipe, mined), tokens, recipe, recipe.reply_tokens)
    progress.stage(f"{len(rows)} prompts, {recipe.rollouts} roll-outs each; {len(fitted.too_long)} are too long")
    _check_batch(recipe, len(rows))
    return tune(prepared, fitted, lambda stop: _trainer(prepared, recipe, rows, progress, stop), progress)


def asked(recipe: GrpoRecipe, mined: MinedFolder) -> Rows:
    """The rows that the guard answers, each once, in the mixture's order."""
    return list(mined.rows(mined.difficult() if recipe.samples == "difficult" else None).values())


def _check_vllm(recipe: GrpoRecipe) -> None:
    if recipe.vllm and importlib.util.find_spec("vllm") is None:
        raise UsageError("vllm is not installed", why="grpo.vllm is true", fix="pip install vllm, or set it to false")


def _check_mark(prepared: Prepared) -> None:
    """Raise UsageError if a row's mode is not said in its text: TRL gives every row the same template arguments."""
    mark = prepared.mixture.mark
    if mark is not None and mark.place == "template":
        raise UsageError(
            "GRPO cannot be told the mode of each row",
            why="this mixture says it to the chat template, row by row, and TRL has one setting for all rows",
            fix='make the mixture with mark = { place = "prefix" } or "suffix"',
        )


def _check_reference(guard: Any, recipe: GrpoRecipe) -> None:
    """Raise UsageError if TRL could not read the guard again, to hold it to what it was."""
    if recipe.kl and recipe.lora is None and not guard.config.name_or_path:
        raise UsageError(
            "the KL term needs a second copy of the guard, and this base has no folder that TRL can read",
            why="it is the embedded model, or one that also sees images",
            fix="name a guard that `train sft` made as model.base, or set grpo.kl = 0 or [grpo.lora]",
        )


def _check_batch(recipe: GrpoRecipe, prompts: int) -> None:
    at_once = recipe.batch_size // recipe.rollouts
    if prompts < at_once:
        raise UsageError(
            f"{prompts} prompts are fewer than the {at_once} of one step",
            why=f"grpo.batch_size = {recipe.batch_size} roll-outs are {at_once} prompts of {recipe.rollouts} each",
            fix="set a smaller grpo.batch_size, or train on more rows",
        )


def _trainer(prepared: Prepared, recipe: GrpoRecipe, rows: Rows, progress: TrainingProgress, stop: StopAsked) -> Any:
    """TRL's trainer."""
    from transformers import PrinterCallback
    from trl.trainer.grpo_config import GRPOConfig

    from safety_reasoning.train.grpo_trainer import GoingOn
    from safety_reasoning.train.training_callbacks import MetricsFile, Steps

    folder, guard = prepared.folder, prepared.base.weights(weights_dtype(recipe, prepared.devices))
    _check_reference(guard, recipe)
    trainer = GoingOn(
        model=guard,
        reward_funcs=reward_function(weights(recipe)),
        args=GRPOConfig(**shared_settings(prepared.config), **_settings(recipe, prepared.base.commit)),
        train_dataset=_dataset(rows),
        processing_class=prepared.base.tokenizer,
        peft_config=lora_config(recipe, prepared.layers),
        callbacks=[
            Steps(progress, stop),
            MetricsFile(folder.metrics),
            *reporters(recipe.report_to, folder.path),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    return trainer


def weights(recipe: GrpoRecipe) -> dict[str, float]:
    """What of a recipe decides the reward."""
    return {
        "prompt_weight": recipe.prompt_weight,
        "response_weight": recipe.response_weight,
        "missed_harm": recipe.missed_harm,
        "false_alarm": recipe.false_alarm,
        "format_weight": recipe.format_weight,
    }


def _settings(recipe: GrpoRecipe, commit: str | None) -> dict[str, Any]:
    """What of a recipe is GRPO's alone. The reference model is read from where the guard is, at its commit."""
    return {
        "num_generations": recipe.rollouts,
        "max_completion_length": recipe.reply_tokens,
        "temperature": recipe.temperature,
        "top_p": recipe.top_p,
        "beta": recipe.kl,
        "scale_rewards": recipe.scale,
        "model_init_kwargs": {"use_safetensors": True} | ({} if commit is None else {"revision": commit}),
        "use_vllm": recipe.vllm,
        "vllm_mode": "colocate",
        "log_completions": False,
    }


def _dataset(rows: Rows) -> Any:
    """The rows as TRL reads them: the prompt, and what the reward is told."""
    from datasets import Dataset

    return Dataset.from_list([{name: row[name] for name in ("prompt", "mode", *LABELS)} for row in rows])
