"""What is to be published: a release of records, a mixture made of one, or the folder of a trained guard."""

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.folder import LocalFile, hashed, hidden_files, refuse_links, visible_files
from safety_reasoning.hub.remote import Kind
from safety_reasoning.schemas.folder import MANIFEST
from safety_reasoning.train.mixture_stated import STATED as MIXTURE

TRAINING = "training.json"
"""Beside a trained guard: its `version`, and the `release` that it was trained on, {"repo": …, "revision": …}, or a
list of these."""
_OTHER_VERSION = {
    MANIFEST: ("release", "give the release another version with `safety-reasoning bump`"),
    MIXTURE: ("mixture", "give the mixture another version in its recipe, and make it again"),
    TRAINING: ("guard", f"write another version into {TRAINING} and the card"),
}
"""What a folder of each kind is, and how it gets another version."""
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
TAG = regex.compile(rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A folder that is ready to be published, and how it is to be tagged."""

    folder: Path
    kind: Kind
    statement: str
    """The file of it that says what it is."""
    tag: str
    files: Mapping[str, LocalFile]
    records: Mapping[str, int]
    """Records by config; empty for a model."""
    unpublished: tuple[str, ...]
    """Files of the folder whose names begin with a dot, which are left where they are."""


def kind_of(folder: Path) -> Kind:
    """Whether the folder is a release or a mixture (it has a manifest) or a guard (config.json and *.safetensors).

    Raises: UsageError if it is none of them.
    """
    if (folder / MANIFEST).is_file() or (folder / MIXTURE).is_file():
        return "dataset"
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return "model"
    raise UsageError(
        f"{folder} is neither a release nor a trained guard, nor a mixture",
        why=f"a release has {MANIFEST}, a mixture {MIXTURE}, a guard config.json and *.safetensors",
        fix="name the folder that `safety-reasoning build`, `train mix` or a training run wrote",
    )


def statement_of(kind: Kind, names: Container[str]) -> str:
    """The file that says what is published, among those of a folder or a branch."""
    if kind == "model":
        return TRAINING
    return MIXTURE if MIXTURE in names and MANIFEST not in names else MANIFEST


def read_release(folder: Path, tag: str | None) -> Release:
    """The folder as it is now, with the hash of every file that is to be published.

    Raises: UsageError if it is neither release nor guard, holds links, or no tag is known for it.
    """
    kind = kind_of(folder)
    refuse_links(folder)
    visible = visible_files(folder)
    statement = statement_of(kind, visible)
    manifest = read_json(folder / statement)
    names = [*manifest["files"], statement] if kind == "dataset" else visible
    files = hashed(folder, names)
    if kind == "dataset":
        _refuse_changed(folder, statement, manifest, files)
    return Release(
        folder=folder,
        kind=kind,
        statement=statement,
        tag=_tag(statement, manifest.get("version"), tag),
        files=files,
        records={name: config["records"] for name, config in manifest["configs"].items()} if kind == "dataset" else {},
        unpublished=tuple(name for name in hidden_files(folder) if name not in files),
    )


def _refuse_changed(folder: Path, statement: str, manifest: Mapping[str, Any], files: Mapping[str, LocalFile]) -> None:
    changed = [name for name, stated in manifest["files"].items() if stated["sha256"] != files[name].sha256]
    if changed:
        raise UsageError(
            f"{folder / changed[0]} is not what {statement} states",
            why="it changed while the release was looked at, or the release was never checked",
            fix="push again when nothing writes to it",
        )


def _tag(statement: str, version: object, given: str | None) -> str:
    stated = f"v{version}" if version is not None else None
    if given and stated and given != stated:
        what, how = _OTHER_VERSION[statement]
        raise UsageError(
            f"the {what} is {stated}, not {given}",
            why=f"a {what} is tagged with the version that its {statement} and card state",
            fix=f"leave --tag out, or {how}",
        )
    tag = given if given and statement == TRAINING else stated
    if tag is None or not TAG.fullmatch(tag):
        where = f"--tag or the version in {TRAINING}" if statement == TRAINING else statement
        raise UsageError("no tag follows from the version", why=f"{where} must give one like 1.2.3 (tag v1.2.3)")
    return tag


def version_of(tag: str) -> tuple[int, ...]:
    """The three numbers of a tag, to compare."""
    return tuple(map(int, tag.removeprefix("v").split(".")))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises: UsageError if the file is not there or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or "") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON", why=str(error)) from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a JSON object")
    return content
