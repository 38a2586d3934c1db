"""What releases know of a mixture's rows that the mixture does not say: categories, and what each teacher thought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from safety_reasoning.builders.left_out import BadRow
from safety_reasoning.builders.records import Record
from safety_reasoning.builders.samples import ContentSafetySample
from safety_reasoning.hub.reading import Side, opened
from safety_reasoning.schemas.columns import Task
from safety_reasoning.train.mixture_recipe import MixtureRecipe, PartRecipe
from safety_reasoning.train.mixture_rows import open_reader

_SAID = {True: "differs", False: "agrees", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one row."""

    categories: tuple[str, ...]
    """Violated ones; of topic control, none."""
    teachers: tuple[tuple[str, str], ...]
    """(teacher, whether its verdict `agrees` with the label, `differs` or is `unknown`), sorted."""


def read_facts(releases: Sequence[str], wanted: frozenset[str]) -> dict[str, Facts]:
    """The facts of the keys that are wanted, as far as the releases have them.

    Raises: UsageError if a release cannot be read.
    """
    found: dict[str, Facts] = {}
    for release in releases:
        with opened(release) as side:
            for task in side.tables:
                found |= _of_task(side, task, release, wanted - found.keys())
    return found


def _of_task(side: Side, task: Task, release: str, wanted: frozenset[str]) -> Mapping[str, Facts]:
    part = PartRecipe(release=release, task=task)
    reader = open_reader(side, task, MixtureRecipe(name="facts", out="", mode="reasoning", parts=(part,)), {})
    records = (record for _, record in reader.rows() if not isinstance(record, BadRow))
    return {record.key: _facts(record) for record in records if record.key in wanted}


def _facts(record: Record) -> Facts:
    named = ""
    if isinstance(record.sample, ContentSafetySample):
        named = str(record.sample.published.get("violated_categories") or "")
    categories = tuple(sorted({part.strip() for part in named.split(",") if part.strip()}))
    teachers = tuple(sorted((name, _SAID[traces.mismatch]) for name, traces in record.traces.items()))
    return Facts(categories, teachers)
