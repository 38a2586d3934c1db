"""Whether a trained guard may be published: weights that are only weights, and where they come from."""

import pickle
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.card import card_metadata
from safety_reasoning.hub.folder import visible_files
from safety_reasoning.hub.release import TRAINING, read_json
from safety_reasoning.hub.safetensors import check_safetensors

METRICS = "metrics.json"
_PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
_PROTOCOLS = tuple(bytes([0x80, protocol]) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1))


def check_model(folder: Path) -> None:
    """Hold a guard's folder against what a published one must have.

    Raises: UsageError naming the file and the field.
    """
    read_json(folder / "config.json")
    for path in sorted(folder.rglob("*.safetensors")):
        check_safetensors(path)
    _check_shards(folder)
    for name in visible_files(folder):
        _refuse_pickle(folder / name)
    _check_card(folder, _trained_on(folder))


def _trained_on(folder: Path) -> list[str]:
    """The repositories of the releases that it was trained on: one, or those of a mixture."""
    stated = read_json(folder / TRAINING).get("release")
    releases: list[Any] = stated if isinstance(stated, list) and stated else [stated]
    for release in releases:
        for part in ("repo", "revision"):
            if not isinstance(release, dict) or not _is_text(release.get(part)):
                raise UsageError(
                    f"{folder / TRAINING} does not say on which release the guard was trained",
                    why=f"release.{part} is missing",
                    fix='write {"version": "1.2.3", "release": {"repo": "OWNER/NAME", "revision": "TAG OR COMMIT"}}; '
                    "of a mixture, a list of these",
                )
    return [str(release["repo"]) for release in releases]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _check_card(folder: Path, trained_on: list[str]) -> None:
    card = card_metadata(folder)
    for field in ("base_model", "datasets", "license"):
        if not card.get(field):
            raise UsageError(f"{folder / 'README.md'} does not state {field}", fix="add it to the card's metadata")
    datasets = card["datasets"] if isinstance(card["datasets"], list) else [card["datasets"]]
    missing = [repo for repo in trained_on if repo not in datasets]
    if missing:
        raise UsageError(
            f"{folder / 'README.md'} and {TRAINING} disagree",
            why=f"the card's datasets do not name {', '.join(missing)}",
            fix="name it under datasets",
        )
    metrics = read_json(folder / METRICS) if (folder / METRICS).is_file() else {}
    if not metrics and not card.get("model-index"):
        raise UsageError(f"{folder} states no metrics", fix=f"write {METRICS}, or model-index into the card")


def _check_shards(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    named = read_json(index).get("weight_map")
    there = visible_files(folder)
    for name in sorted({str(name) for name in named.values()} if isinstance(named, dict) else [""]):
        if name not in there:
            raise UsageError(f"{index} names a file that is not there", why=repr(name), fix="save the model again")


def _refuse_pickle(path: Path) -> None:
    if path.suffix in _PICKLES or _is_pickle(path):
        raise UsageError(
            f"{path} is a pickle",
            why="to load one runs what it holds; a guard is published as safetensors alone",
            fix="save with safe_serialization=True and move optimizer states elsewhere",
        )


def _is_pickle(path: Path) -> bool:
    """Whether the content is one, whatever the name: a bare pickle, or one in a zip as torch writes it."""
    with path.open("rb") as file:
        if file.read(2).startswith(_PROTOCOLS):
            return True
    return any(name.endswith(".pkl") for name in _zipped(path))


def _zipped(path: Path) -> Iterator[str]:
    if zipfile.is_zipfile(path):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:  # what only ends like one is none
            yield from archive.namelist()
