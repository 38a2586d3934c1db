"""Make a release of ours from the reasoning release that somebody else published, asking no teacher."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safety_reasoning.builders.build import build
from safety_reasoning.builders.load_back import load_back
from safety_reasoning.builders.manifest import Manifest
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import Recipe, ReleaseRecipe, SourceRecipe
from safety_reasoning.cards.render import CARD
from safety_reasoning.errors import UsageError
from safety_reasoning.hub.card import card_metadata
from safety_reasoning.hub.names import refuse_repo
from safety_reasoning.hub.reading_deviations import PublishedFile, deviations
from safety_reasoning.hub.reading_lines import first_row
from safety_reasoning.hub.reading_place import HubPlace, Place, find_place
from safety_reasoning.schemas.columns import JSONL_FILE, Naming


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the new release is to be."""

    out: Path
    name: str | None = None
    """None: the name of the folder or repository that is read."""
    repo: str = ""
    """Where it is to be published, for the card's examples."""
    keep: str = "any"
    """The keep rule (`release.keep` of a recipe)."""
    columns: Naming = "card"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A release made of somebody else's."""

    out: Path
    manifest: Manifest
    loaded: Mapping[str, int]
    """Records by config, as `load_dataset` gives them."""
    deviations: tuple[str, ...]
    """Where the source was not what its card says."""


def import_published(named: str, wanted: Wanted, progress: Progress) -> Imported:
    """Read a folder or Hub revision in any spelling of its columns, and write it as a release under the card's names.

    Traces pass the filters, and rows the keep rule, as in any build; what does not is in `left_out/` or counted.
    Raises: UsageError if it cannot be read, nothing of it can be used, or `wanted.repo` can be no repository.
    """
    if wanted.repo:
        refuse_repo(wanted.repo)
    place = find_place(named)
    folder = place.fetch([CARD, *JSONL_FILE.values()]) if isinstance(place, HubPlace) else place
    if wanted.out.resolve() == folder.resolve():
        raise UsageError(f"{wanted.out} is the source itself", fix="give the release another folder")
    about = _metadata(folder)
    built = build(_recipe(place, wanted, about), progress)
    progress.stage("loading it back")
    loaded = load_back(built.out, built.manifest)
    card = (folder / CARD).read_text(encoding="utf-8", errors="replace") if (folder / CARD).is_file() else ""
    files = _files(folder, built.manifest)
    return Imported(
        out=built.out, manifest=built.manifest, loaded=loaded, deviations=tuple(deviations(card, about, files))
    )


def _metadata(folder: Path) -> Mapping[str, Any]:
    """The card's metadata; {} where it has none that can be read."""
    try:
        return card_metadata(folder)
    except UsageError:
        return {}


def _recipe(place: Place, wanted: Wanted, about: Mapping[str, Any]) -> Recipe:
    """The recipe of the republication: the source at its commit, under the licence and languages that it states."""
    if isinstance(place, HubPlace):
        path, revision, name = f"hf://datasets/{place.repo}", place.commit, place.repo.partition("/")[2]
    else:
        path, revision, name = str(place.resolve()), None, place.resolve().name
    release: dict[str, Any] = {"name": wanted.name or name, "repo": wanted.repo}
    release |= {"out": str(wanted.out.resolve()), "store": "", "keep": wanted.keep, "columns": wanted.columns}
    if isinstance(about.get("license"), str):
        release["license"] = about["license"]
    if languages := _languages(about.get("language")):
        release["language"] = languages
    return Recipe(
        release=ReleaseRecipe.model_validate(release),
        sources=(SourceRecipe(kind="published", path=path, revision=revision),),
    )


def _languages(stated: object) -> list[str]:
    languages = stated if isinstance(stated, list) else [stated]
    return [language for language in languages if isinstance(language, str)]


def _files(folder: Path, manifest: Manifest) -> list[PublishedFile]:
    tasks = {name: task for task, name in JSONL_FILE.items()}
    return [
        PublishedFile(name=name, task=tasks[name], columns=tuple(first_row(folder / name)), rows=file["rows"])
        for file in manifest["sources"][0]["files"]
        for name in [file["name"]]
    ]
