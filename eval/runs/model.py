"""Which model answers: what a run states of it, and what tells it from every other in the key of a call."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.builders.teachers.embedded import MODEL
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.runs.recipe import GuardEngine
from safety_reasoning.files import sha256_of
from safety_reasoning.hub.release import TRAINING

_FILES = ("*.safetensors", "*.gguf", "*.json", "*.jinja", "*.model")
"""What of a model's folder shapes an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A guard's model."""

    name: str
    """As a run states it: no path of this machine."""
    revision: str | None
    """The Hub's, as the recipe gives it; of a folder, the hash of its files."""
    id: str
    """What stands for it in the key of a call."""
    training: dict[str, Any] | None
    """The training.json of a guard that `train sft` wrote."""

    @property
    def mixture(self) -> str | None:
        """The hash of the mixture that it was trained on, where that is known."""
        mixture = (self.training or {}).get("mixture")
        found = mixture.get("hash") if isinstance(mixture, dict) else None
        return found if isinstance(found, str) else None


def model_of(engine: GuardEngine) -> Model:
    """The model that an engine serves.

    Raises: UsageError if it is a folder that is not there or cannot be read.
    """
    folder = local_folder(engine)
    if folder is None:
        name = engine.model or MODEL
        return Model(name=name, revision=engine.revision, id=f"{name}@{engine.revision or ''}", training=None)
    if not folder.is_dir():
        raise UsageError(f"the model {folder} is no folder", fix="correct engine.model, or name a model of the Hub")
    try:
        revision = _fingerprint(folder)
        training = _training(folder)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"the model {folder} cannot be read", why=str(error)) from error
    name = str((training or {}).get("name") or folder.name)
    return Model(name=name, revision=revision, id=revision, training=training)


def local_folder(engine: GuardEngine) -> Path | None:
    """The folder that the engine reads its model from; None for one of the Hub, or of a server."""
    return Path(engine.model) if engine.model.startswith("/") and not engine.base_urls else None


def _fingerprint(folder: Path) -> str:
    files = sorted({path for pattern in _FILES for path in folder.glob(pattern)})
    if not files:
        raise ValueError("it holds no weights")
    said = "\n".join(f"{path.name} {sha256_of(path)}" for path in files)
    return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"


def _training(folder: Path) -> dict[str, Any] | None:
    path = folder / TRAINING
    if not path.is_file():
        return None
    training = json.loads(path.read_text(encoding="utf-8"))
    return training if isinstance(training, dict) else None
