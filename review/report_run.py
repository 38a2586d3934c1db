"""From a recipe to the report of its store, and the page of a report to its file."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Protocol, TypeVar

from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.sources.load import load_sources
from safety_reasoning.builders.store import view_store
from safety_reasoning.errors import UsageError, missing_extra
from safety_reasoning.review.agreement_marks import agreement
from safety_reasoning.review.report import Report, make_report
from safety_reasoning.review.report_counts import count
from safety_reasoning.review.tables_budgets import count_budgets

_PACKAGES = {"krippendorff": "krippendorff", "matplotlib": "matplotlib", "scipy": "scipy", "sklearn": "scikit-learn"}
_Item = TypeVar("_Item")


class Watch(Protocol):
    """Tells whoever waits how far it is."""

    def each(self, what: str, items: Iterable[_Item], total: int) -> Iterable[_Item]:
        """The items, `total` of them, one by one."""
        ...


def report_store(recipe: Recipe, watch: Watch) -> Report:
    """The report of the recipe's store, finished or not, also while a run is writing to it.

    Raises: UsageError if the recipe asks no teachers, if there is no store or it is damaged, or if the [review] extra
    is not installed, which is said before the work and not after it.
    """
    if not recipe.teachers:
        raise UsageError(
            "the recipe asks no teachers, so it has no store to report on",
            why="its source has its traces already",
            fix="give a recipe with [[teachers]]",
        )
    _require_packages()
    with view_store(Path(recipe.release.store)) as store:
        samples = load_sources(recipe.sources).samples
        counts = count(recipe, watch.each("samples", samples, len(samples)), store)
        budgets = count_budgets(watch.each("replies, for their budgets", store, len(store)))
        marks = agreement(recipe, samples, store)
    return make_report(recipe, counts, budgets, marks)


def _require_packages() -> None:
    for module, package in _PACKAGES.items():
        try:
            import_module(module)
        except ImportError:
            raise missing_extra("review", package) from None


def make_room(path: Path) -> None:
    """Make the page's folder, before the work and not after it.

    Raises: UsageError if no page can be written there.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", fix="give --out the name of a file")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def write_page(path: Path, page: str) -> None:
    """The page in its file, whole or not at all.

    Raises: UsageError if it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with _writing(path):
            aside.write_bytes(page.encode("utf-8"))
            aside.replace(path)
    finally:
        with suppress(OSError):  # its folder is none any more
            aside.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the report {path} cannot be written",
            why=str(error),
            fix="give --out another place, or make room there",
        ) from error
