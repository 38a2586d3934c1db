"""Guards that this project trained, asked as they were trained: their training.json says how a mode is told.

A guard of two modes has one prompt and a mark in it (paper, section 5.4), or a chat template that takes
`enable_thinking`; one of one mode has the prompt of that mode and no mark.
"""

import json
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.guards.h3 import H3Guard, Mode, Taxonomy
from safety_reasoning.train.conversations import OWN_VARIABLE, Mark

_TRAINING = "training.json"
_OF_ONE_MODE: dict[str, Mode] = {"reasoning": "on", "non_reasoning": "off"}


def ours(*, mode: Mode | None = None, taxonomy: Taxonomy = "aegis", folder: str | None = None) -> H3Guard:
    """A guard of `train sft`, or of what goes on from one.

    `mode`: whether it reasons; None: as the guard does when it is not told, and without `folder` yes. `folder`: its
    place, or that of its training.json; without one it is taken for a guard of one mode, which `mode` names.

    Raises: UsageError if training.json cannot be read, or the guard has no such mode.
    """
    if folder is None:
        return H3Guard(name="ours", mode=mode or "on", taxonomy=taxonomy)
    training = _read(Path(folder))
    own = _own_prompt(training, folder)
    told = training.get("enable_thinking")
    if not isinstance(told, bool):
        return H3Guard(name="ours", mode=_only_mode(training, mode, folder), taxonomy=taxonomy, own_prompt=own)
    chosen: Mode = mode or ("on" if told else "off")
    return H3Guard(
        name="ours",
        mode=chosen,
        taxonomy=taxonomy,
        one_prompt=True,
        mark=_mark(training, folder),
        template_kwargs={"enable_thinking": chosen == "on"},  # a server's reasoning parser reads no marks
        own_prompt=own,
    )


def _own_prompt(training: dict[str, Any], folder: str) -> str | None:
    """The prompt that the mixture's rows had in place of the paper's; None: H.3."""
    mixture = training.get("mixture")
    own = mixture.get("prompt") if isinstance(mixture, dict) else None
    if own is not None and not (isinstance(own, str) and own.count(OWN_VARIABLE) == 1):
        raise _unreadable(folder, f"`mixture.prompt` does not hold {OWN_VARIABLE} once")
    return own


def _only_mode(training: dict[str, Any], mode: Mode | None, folder: str) -> Mode:
    mixture = training.get("mixture")
    only = _OF_ONE_MODE.get(str(mixture.get("mode")) if isinstance(mixture, dict) else "", mode or "on")
    if mode is not None and mode != only:
        raise UsageError(
            f"guard ours: mode {mode!r} is not among those of {folder}",
            why=f"it was trained on rows of mode {only!r} alone",
            fix=f'set mode = "{only}", or leave it out',
        )
    return only


def _mark(training: dict[str, Any], folder: str) -> Mark | None:
    switch = training.get("switch")
    if switch is None:
        return None
    try:
        return Mark(place=switch["place"], on=switch["on"], off=switch["off"])
    except (KeyError, TypeError) as error:
        raise _unreadable(folder, "`switch` has no place, on and off") from error


def _read(place: Path) -> dict[str, Any]:
    path = place / _TRAINING if place.is_dir() else place
    try:
        training = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(str(path), str(error)) from error
    if not isinstance(training, dict):
        raise _unreadable(str(path), "it is no JSON object")
    return training


def _unreadable(path: str, why: str) -> UsageError:
    return UsageError(
        f"guard ours: {path} is no training.json of a guard",
        why=why,
        fix="give `folder` the one that `train sft` wrote, or leave it out for a guard of one mode",
    )
