"""Which guard is deployed: what its folder says of its name, its modes and how it is told which one is wanted."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import regex

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.release import TRAINING, read_json
from safety_reasoning.train.conversations import Mark
from safety_reasoning.train.mixture_recipe import Mode

NEMOTRON = "nvidia/Nemotron-Content-Safety-Reasoning-4B"
"""The published guard: its modes are told by a suffix, and its prompt is its own."""
_NO_WORD = regex.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedGuard:
    """A guard as a server gives it."""

    name: str
    """What the server calls it and requests name."""
    path: str
    """Its folder, or its name on the Hub."""
    version: str | None
    """None: not known, it is no folder of this project."""
    mode: Mode
    """What it was trained to do; of a guard that is no folder of this project, what it is used for."""
    mark: Mark | None
    """What tells its prompts which mode is wanted; None: nothing in the text."""
    thinks_unasked: bool | None
    """Of a guard of two modes, what a request means that does not say."""
    context_tokens: int | None
    """The longest text that its weights were made for."""
    prompt: str | None = None
    """The prompt file of `eval.guards` that it is asked with; None: the prompts of H.3."""


def open_guard_folder(guard: str, *, reasoning: bool | None) -> DeployedGuard:
    """The guard of a folder with training.json; any other text is the name of a model as its server knows it.

    Raises: UsageError if the folder is no guard, or was not trained for the mode that is wanted.
    """
    folder = Path(guard)
    if not folder.is_dir():
        return _named(guard, reasoning=reasoning)
    if not (folder / TRAINING).is_file():
        raise UsageError(
            f"{folder} is no guard",
            why=f"it has no {TRAINING}, which says how the guard was trained",
            fix="give the folder `guard` of a training run, or the name of a model that a server knows",
        )
    stated = read_json(folder / TRAINING)
    found = _stated(folder, stated)
    if reasoning is not None and found.mode == ("non_reasoning" if reasoning else "reasoning"):
        wanted = "reasoning" if reasoning else "answers without reasoning"
        raise UsageError(
            f"{folder} was not trained for {wanted}",
            why=f"its mixture has the mode {found.mode}",
            fix=f"leave {'--reasoning' if reasoning else '--no-reasoning'} out, or train a guard of mode dual",
        )
    return found


def _named(guard: str, *, reasoning: bool | None) -> DeployedGuard:
    if not guard.strip() or guard.startswith("-") or not guard.isprintable():
        raise UsageError(f"{guard!r} is no name of a model", fix="give a folder, or the name that the server knows")
    published = guard.casefold() == NEMOTRON.casefold()
    mode: Mode = "non_reasoning" if reasoning is False else "reasoning"
    return DeployedGuard(
        name=guard,
        path=guard,
        version=None,
        mode="dual" if published else mode,
        mark=Mark(place="suffix", on="/think", off="/no_think") if published else None,
        thinks_unasked=None,
        context_tokens=None,
        prompt="nemotron_reasoning" if published else None,
    )


def _stated(folder: Path, stated: dict[str, Any]) -> DeployedGuard:
    try:
        mode = stated["mixture"]["mode"]
        name, version, switch = stated["name"], stated["version"], stated["switch"]
        mark = None if switch is None else Mark(place=switch["place"], on=switch["on"], off=switch["off"])
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"{folder / TRAINING} lacks what a deployment needs",
            why=f"field {error} is not there",
            fix="train the guard again with this version, or mend the file",
        ) from error
    if mode not in ("reasoning", "non_reasoning", "dual"):
        raise UsageError(f"{folder / TRAINING}: mixture.mode is {mode!r}", fix="reasoning, non_reasoning or dual")
    return DeployedGuard(
        name=served_name(str(name)),
        path=str(folder.resolve()),
        version=str(version),
        mode=cast(Mode, mode),
        mark=mark,
        thinks_unasked=stated.get("enable_thinking"),
        context_tokens=_context(folder),
    )


def served_name(name: str) -> str:
    """The name in small letters, digits, dots and dashes, as it can stand in a command and a URL."""
    return _NO_WORD.sub("-", name.casefold()).strip("-.") or "guard"


def _context(folder: Path) -> int | None:
    """`max_position_embeddings` of the model's config.json, wherever the kind of model keeps it."""
    if not (folder / "config.json").is_file():
        return None
    config = read_json(folder / "config.json")
    for part in (config, config.get("text_config")):
        if isinstance(part, dict) and isinstance(found := part.get("max_position_embeddings"), int):
            return found
    return None
