"""The folder of a trained guard: weights, tokenizer with the guard's chat template, card, and where it all comes from.

It holds what is published and nothing else: optimizer states and the trainer's own files stay with the run.
"""

import dataclasses
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safety_reasoning.cards.model import render_model_card
from safety_reasoning.files import sha256_of
from safety_reasoning.hub.check_model import METRICS
from safety_reasoning.hub.release import TRAINING, read_json
from safety_reasoning.place import replaced
from safety_reasoning.train.model_load import embedded_file, read_weights
from safety_reasoning.train.sft_lengths import Fitted
from safety_reasoning.train.sft_recipe import EMBEDDED
from safety_reasoning.train.training_folder import write_json

if TYPE_CHECKING:
    from safety_reasoning.train.training_prepare import Prepared

_TOOLS = ("safety-reasoning", "torch", "transformers", "trl", "accelerate", "peft")
_OF_A_RELEASE = ("repo", "name", "version", "commit", "manifest_sha256")
_OF_THE_MIXTURE = ("name", "version", "hash", "mode", "trace", "mark", "prompt", "counts")
_MACHINE = {"out", "mixture", "save_every", "keep_checkpoints", "log_every", "report_to"}
"""Fields of the recipe that are this machine's affair."""


def write_guard(prepared: "Prepared", fitted: Fitted, checkpoint: Path) -> None:
    """Make the guard's folder from the last checkpoint; adapters are merged into the weights."""
    with replaced(prepared.folder.guard, marker=TRAINING, what="guard") as folder:
        model = _trained(prepared, checkpoint)
        _end_turns(model, prepared, fitted)
        model.save_pretrained(folder)
        for weights in folder.glob("*.safetensors"):
            weights.chmod(0o644)  # they are written for their owner alone
        prepared.base.tokenizer.save_pretrained(folder)
        training = _training(prepared, fitted, checkpoint)
        write_json(folder / TRAINING, training)
        (folder / "README.md").write_text(render_model_card(training, None), encoding="utf-8")


def state_metrics(guard: Path, metrics: dict[str, Any]) -> None:
    """Write what an evaluation found, and the card with it.

    `metrics` has `evaluations`: a list of `{"name", "rows", "prompt", "values": [{"metric", "value", "low", "high"}]}`,
    `low` and `high` the ends of a 95% interval or null.
    """
    write_json(guard / METRICS, metrics)
    (guard / "README.md").write_text(render_model_card(read_json(guard / TRAINING), metrics), encoding="utf-8")


def _trained(prepared: "Prepared", checkpoint: Path) -> Any:
    """The model of a checkpoint in the type that it is saved in, with its adapters merged."""
    import torch

    dtype = getattr(torch, prepared.recipe.sft.saved_weights)
    if prepared.recipe.sft.lora is None:
        return read_weights(checkpoint, dtype)
    from peft import PeftModel

    # merged in float32: sums of bfloat16 lose what small adapters learnt
    merged = PeftModel.from_pretrained(prepared.base.weights(torch.float32), str(checkpoint)).merge_and_unload()
    return merged.to(dtype)


def _end_turns(model: Any, prepared: "Prepared", fitted: Fitted) -> None:
    """Let the guard stop at the token that ends its turn, and at those that ended the base model's."""
    tokenizer = prepared.base.tokenizer
    special = set(tokenizer.all_special_ids)
    named = model.generation_config.eos_token_id
    ends: set[int] = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named] if named else [])}
    for row in fitted.rows:
        ends.update([token for token in row.completion if token in special][-1:])
    model.generation_config.eos_token_id = sorted(ends)


def _training(prepared: "Prepared", fitted: Fitted, checkpoint: Path) -> dict[str, Any]:
    """What training.json states; no path of this machine, no time."""
    recipe, stated = prepared.recipe, prepared.mixture.stated
    releases = [{name: part["release"].get(name) for name in _OF_A_RELEASE} for part in stated.get("parts", [])]
    return {
        "format": 1,
        "name": recipe.model.name,
        "version": recipe.model.version,
        "license": recipe.model.license,
        "base": _base(prepared),
        "release": _release(releases),
        "releases": releases,
        "mixture": {name: stated.get(name) for name in _OF_THE_MIXTURE},
        "method": recipe.sft.method,
        "recipe": recipe.sft.model_dump(mode="json", exclude=_MACHINE),
        "switch": None if prepared.switch is None else dataclasses.asdict(prepared.switch),
        "enable_thinking": recipe.model.enable_thinking if prepared.mixture.mark is not None else None,
        "processes": prepared.devices.processes,
        "steps": int(checkpoint.name.rpartition("-")[2]),
        "lengths": fitted.summary(),
        "tools": {name: found for name in _TOOLS if (found := _version(name)) is not None},
    }


def _base(prepared: "Prepared") -> dict[str, Any]:
    """What training began from; of a guard that goes on from another one, also which, and the model below it."""
    base, named = prepared.base, prepared.recipe.model.base
    stated = {"repo": base.repo, "commit": base.commit, "file_sha256": None, "guard": None}
    if named == EMBEDDED:
        return stated | {"file_sha256": sha256_of(embedded_file())}
    if (Path(named) / TRAINING).is_file():
        before = read_json(Path(named) / TRAINING)
        below = {name: before["base"][name] for name in ("repo", "commit", "file_sha256")}
        return below | {"guard": {name: before[name] for name in ("name", "version")}}
    return stated


def _release(releases: list[dict[str, Any]]) -> Any:
    """Where the rows come from: one release, or a list of those of the mixture."""
    stated = [
        {
            "repo": release["repo"],
            "revision": release["commit"] or (f"v{release['version']}" if release["version"] else None),
        }
        for release in releases
    ]
    distinct = [release for place, release in enumerate(stated) if release not in stated[:place]]
    return distinct[0] if len(distinct) == 1 else distinct


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
