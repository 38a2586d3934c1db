"""Build: everything that a recipe names, from its sources to a release in its place."""

from dataclasses import dataclass
from pathlib import Path

from safety_reasoning.builders.ask import open_teacher
from safety_reasoning.builders.generate import generate
from safety_reasoning.builders.join import Joined, join, rejoin
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.manifest import Manifest
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.release import write_release
from safety_reasoning.builders.sources.load import Loaded, load_sources
from safety_reasoning.builders.store import open_store
from safety_reasoning.place import refuse_foreign
from safety_reasoning.schemas.folder import MANIFEST


@dataclass(frozen=True, slots=True)
class Built:
    """A release in its place."""

    out: Path
    manifest: Manifest


def build(recipe: Recipe, progress: Progress, *, strict: bool = False, ask: bool = True) -> Built:
    """Load the sources, ask the teachers what the store lacks, and write the release.

    Without `ask` no teacher is asked: the release is made from the store as it is.
    Raises: UsageError, or Stopped where a further run goes on; what was answered is kept.
    """
    refuse_foreign(Path(recipe.release.out), marker=MANIFEST, what="release")
    progress.stage("reading sources")
    loaded = load_sources(recipe.sources, strict=strict)
    joined = _from_store(recipe, loaded, progress, ask=ask) if recipe.teachers else rejoin(recipe, loaded.records)
    progress.stage("writing the release")
    manifest = write_release(recipe, loaded, joined)
    return Built(Path(recipe.release.out), manifest)


def _from_store(recipe: Recipe, loaded: Loaded, progress: Progress, *, ask: bool) -> Joined:
    with open_store(Path(recipe.release.store)) as store:
        if ask:
            progress.stage("asking teachers")
            generate(recipe, loaded.samples, store, progress, open_teacher, Ledger())
        progress.stage("joining")
        return join(recipe, loaded.samples, store)
