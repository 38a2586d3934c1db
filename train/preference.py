"""Direct preference optimisation with TRL: a guard learns to prefer its right answers to its wrong ones."""

import shutil
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.release import TRAINING
from safety_reasoning.train.export import write_parquet
from safety_reasoning.train.metrics import reporters
from safety_reasoning.train.mine_guard import guard_id
from safety_reasoning.train.mine_read import MinedFolder, read_mined
from safety_reasoning.train.preference_lengths import FittedPairs, fit_pairs
from safety_reasoning.train.preference_pairs import Paired, PairRules, pair_all
from safety_reasoning.train.preference_recipe import DpoRecipe, as_training
from safety_reasoning.train.sft_recipe import ModelRecipe
from safety_reasoning.train.sft_rows import row_tokenizer
from safety_reasoning.train.training import Trained, finished, tune
from safety_reasoning.train.training_arguments import lora_config, processes, shared_settings, weights_dtype
from safety_reasoning.train.training_prepare import Prepared, prepare
from safety_reasoning.train.training_progress import StopAsked, TrainingProgress

PAIRS = "pairs/train.parquet"
"""In the run's folder: prompt, chosen and rejected as TRL reads them."""
_CACHE = "cache"
"""In the run's folder, until it is finished: the pairs as tokens, for all processes and for a run that goes on."""


def train_dpo(model: ModelRecipe, recipe: DpoRecipe, progress: TrainingProgress) -> Trained:
    """Train the guard on pairs of its own answers, or go on with it.

    Raises: UsageError if it cannot be trained; Stopped, with a checkpoint kept, if a stop was asked for.
    """
    progress.stage("pairing generations")
    mined = read_mined(Path(recipe.mined or ""))
    _check_guard(model, recipe, mined, progress)
    paired = make_pairs(recipe, mined)
    prepared = prepare(as_training(model, recipe.model_copy(update={"pairs_hash": paired.hash})), progress)
    if (before := finished(prepared.folder)) is not None:
        return before
    progress.stage(_in_words(paired))
    fitted = _fit(prepared, paired, recipe)
    trained = tune(prepared, fitted, lambda stop: _trainer(prepared, recipe, fitted, progress, stop), progress)
    if processes().is_main_process:
        shutil.rmtree(trained.folder / _CACHE, ignore_errors=True)
    return trained


def make_pairs(recipe: DpoRecipe, mined: MinedFolder) -> Paired:
    """The pairs of a recipe.

    Raises: UsageError if there is none, or they are not those that the recipe names.
    """
    rules = PairRules(samples=recipe.samples, per_row=recipe.pairs, unparsed=recipe.unparsed, seed=recipe.seed)
    rows = mined.rows(mined.difficult() if recipe.samples == "difficult" else None)
    paired = pair_all(mined.samples(), rows, rules)
    if not paired.pairs:
        raise UsageError(
            f"no row of {mined.path} has a right and a wrong generation to pair",
            why=_in_words(paired),
            fix='set dpo.samples = "mixed" or dpo.unparsed = true, or mine with more generations',
        )
    if recipe.pairs_hash not in ("", paired.hash):
        raise UsageError(
            f"the pairs of {mined.path} are not those that dpo.pairs_hash names",
            why=f"their hash is {paired.hash}",
            fix="name the folder that they are from, or leave `pairs_hash` out",
        )
    return paired


def _in_words(paired: Paired) -> str:
    reasons = ", ".join(f"{rows} × {reason}" for reason, rows in sorted(paired.unpaired.items()))
    return f"{len(paired.pairs)} pairs; rows without one: {reasons or 'none'}"


def _check_guard(model: ModelRecipe, recipe: DpoRecipe, mined: MinedFolder, progress: TrainingProgress) -> None:
    """Raise UsageError if the generations are known to be of another guard than the one that is trained."""
    base, of = Path(model.base), mined.stated["guard"]
    if recipe.of_another_guard:
        return
    if not of["fingerprint"] or not (base / TRAINING).is_file():
        progress.stage(f"it cannot be told whether the generations, of {of['name']}, are of {model.base}")
    elif guard_id(base, model.base).fingerprint != of["fingerprint"]:
        raise UsageError(
            f"the generations in {mined.path} are of another guard than {model.base}",
            why=f"they are of {of['name']} {of['version'] or ''}".rstrip(),
            fix="name that guard as model.base, mine with this one, or set dpo.of_another_guard = true",
        )


def _fit(prepared: Prepared, paired: Paired, recipe: DpoRecipe) -> FittedPairs:
    tokenizer = prepared.base.tokenizer
    kept, rows, too_long = fit_pairs(paired.pairs, row_tokenizer(tokenizer, tokenizer.chat_template), recipe)
    return FittedPairs(
        rows=rows,
        too_long=too_long,
        max_tokens=recipe.max_tokens,
        pairs=kept,
        unpaired=paired.unpaired,
        hash=paired.hash,
    )


def _trainer(
    prepared: Prepared, recipe: DpoRecipe, fitted: FittedPairs, progress: TrainingProgress, stop: StopAsked
) -> Any:
    """TRL's trainer; the pairs are written into the run's folder first."""
    from transformers import PrinterCallback
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    from safety_reasoning.train.training_callbacks import MetricsFile, Steps

    dtype, folder = weights_dtype(recipe, prepared.devices), prepared.folder
    adapters = lora_config(recipe, prepared.layers)
    apart = adapters is None and not recipe.precompute
    trainer = DPOTrainer(
        model=prepared.base.weights(dtype),
        ref_model=prepared.base.weights(dtype) if apart else None,
        args=DPOConfig(**shared_settings(prepared.config), **_settings(recipe)),
        train_dataset=_dataset(prepared, fitted),
        processing_class=prepared.base.tokenizer,
        peft_config=adapters,
        callbacks=[
            Steps(progress, stop),
            MetricsFile(folder.metrics),
            *reporters(recipe.report_to, folder.path),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout
    return trainer


def _settings(recipe: DpoRecipe) -> dict[str, Any]:
    """What of a recipe is DPO's alone; nothing is truncated, since what is too long is left out before."""
    return {
        "beta": recipe.beta,
        "loss_type": [recipe.loss],
        "label_smoothing": recipe.label_smoothing,
        "max_length": None,
        "precompute_ref_log_probs": recipe.precompute,
    }


def _dataset(prepared: Prepared, fitted: FittedPairs) -> Any:
    """The pairs, from the file that is kept of them; what is made of it is shared by all processes."""
    from datasets import Dataset

    folder = prepared.folder.path
    if processes().is_main_process:
        write_pairs(folder / PAIRS, fitted)
    processes().wait_for_everyone()
    return Dataset.from_parquet(str(folder / PAIRS), cache_dir=str(folder / _CACHE))


def write_pairs(path: Path, fitted: FittedPairs) -> None:
    """Write the pairs as a data set that `load_dataset` reads."""
    import pyarrow as pa

    from safety_reasoning.train.export import MESSAGES

    columns: list[tuple[str, Any]] = [(name, MESSAGES) for name in ("prompt", "chosen", "rejected")]
    rows = [pair.columns() for pair in fitted.pairs]
    if any("chat_template_kwargs" in row for row in rows):
        columns.append(("chat_template_kwargs", pa.struct([("enable_thinking", pa.bool_())])))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(path, pa.schema(columns), rows)
