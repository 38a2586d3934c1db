"""Which guard it is that answers: a fingerprint of its folder, and whether it can be talked to at all."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.hub.release import TRAINING, read_json


@dataclass(frozen=True, slots=True)
class GuardId:
    """A guard, however it is served."""

    name: str
    version: str | None
    fingerprint: str
    """sha256 over its weights, its training.json and its chat template; '' where its folder is not known."""

    @property
    def key(self) -> str:
        """What stands for it in the key of a call."""
        return self.fingerprint or self.name


def guard_id(folder: Path | None, model: str) -> GuardId:
    """The guard of a folder; without one, what its server calls it.

    Raises: UsageError if the folder holds no guard, or one without weights or chat template.
    """
    if folder is None:
        return GuardId(model, None, "")
    if not (folder / TRAINING).is_file():
        raise UsageError(
            f"{folder} is no guard",
            why=f"it has no {TRAINING}",
            fix="name the folder `guard` of a run of `safety-reasoning train sft`",
        )
    stated = read_json(folder / TRAINING)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UsageError(f"guard {folder} has no weights", why="no *.safetensors is in it", fix="train it again")
    said = [f"{file.name} {sha256_of(file)}" for file in (*weights, folder / TRAINING)]
    said.append(hashlib.sha256(_template(folder).encode()).hexdigest())
    fingerprint = hashlib.sha256("\n".join(said).encode()).hexdigest()
    return GuardId(str(stated.get("name", folder.name)), stated.get("version"), fingerprint)


def _template(folder: Path) -> str:
    """Its chat template.

    Raises: UsageError if it has none: a server would refuse every request.
    """
    apart = folder / "chat_template.jinja"
    config = folder / "tokenizer_config.json"
    try:
        template = apart.read_text("utf-8") if apart.is_file() else json.loads(config.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the tokenizer of guard {folder} cannot be read", why=type(error).__name__) from error
    if isinstance(template, dict):
        template = template.get("chat_template")
    if not isinstance(template, str) or not template:
        raise UsageError(
            f"guard {folder} has no chat template",
            why=f"neither {apart.name} nor {config.name} holds one",
            fix="train it with `safety-reasoning train sft`, whose guards have one",
        )
    return template
