"""Mine: ask a trained guard several times about each of its training rows, and keep those near its boundary.

The paper's section 5.6. Everything long is in the store and is gone on with after a kill; the folder of what is found
is made of the store again in seconds, to the same bytes.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safety_reasoning.builders.ask_many import ask_many
from safety_reasoning.builders.calls import Step
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Progress
from safety_reasoning.builders.store import Store, open_store
from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.place import refuse_foreign, replaced
from safety_reasoning.train.mine_facts import Facts, read_facts
from safety_reasoning.train.mine_guard import GuardId, guard_id
from safety_reasoning.train.mine_mixture import check_mixture, write_oversampled
from safety_reasoning.train.mine_outcome import judge
from safety_reasoning.train.mine_recipe import MineRecipe
from safety_reasoning.train.mine_report import count
from safety_reasoning.train.mine_rows import Asked, Asking, asked_rows
from safety_reasoning.train.mine_samples import Kind, Sample, generation
from safety_reasoning.train.mine_write import DIFFICULT, MINED, MIXTURE, Found, write_report, write_samples
from safety_reasoning.train.mixture_read import Mixture, read_mixture

_WHAT = "folder of mined rows"


@dataclass(frozen=True, slots=True)
class Mined:
    """What was found."""

    out: Path
    stated: Mapping[str, Any]
    """Its mine.json."""


def mine(recipe: MineRecipe, progress: Progress, ledger: Ledger) -> Mined:
    """Ask what the store lacks and put the folder of what is found into its place.

    Raises: UsageError if the mixture, the guard, the store or the place cannot be used, before anything is asked;
    Stopped, with every generation kept, if it was interrupted.
    """
    refuse_foreign(Path(recipe.out), marker=MINED, what=_WHAT)
    progress.stage("reading the mixture")
    mixture = read_mixture(Path(recipe.mixture))
    check_mixture(mixture)
    guard = guard_id(None if recipe.guard is None else Path(recipe.guard), recipe.engine.model)
    rows = asked_rows(mixture.records())
    facts = _facts(recipe, rows, progress)
    asking = _asking(recipe, guard)
    with open_store(Path(recipe.store)) as store:
        _check_store(recipe, store, asking, rows)
        progress.stage(f"asking {guard.name} {recipe.generations} times about {len(rows)} rows")
        ask_many(recipe.engine, list(asking.requests(rows)), store, progress, ledger)
        progress.stage("counting")
        found = Found(rows, lambda some: _samples(some, asking, store), facts)
        return Mined(Path(recipe.out), _write(recipe, mixture, guard, found))


def _facts(recipe: MineRecipe, rows: Sequence[Asked], progress: Progress) -> Mapping[str, Facts]:
    """What the releases know of the rows.

    Raises: UsageError if they have none of them.
    """
    if not recipe.releases:
        return {}
    progress.stage("reading the releases")
    facts = read_facts(recipe.releases, frozenset(row.key for row in rows))
    if not facts:
        raise UsageError(
            "none of the mixture's rows is in `mine.releases`",
            why="it was made of other releases",
            fix="name those that it was made of, or leave `releases` out",
        )
    return facts


def _asking(recipe: MineRecipe, guard: GuardId) -> Asking:
    return Asking(
        guard=guard.key,
        teacher=recipe.engine.name,
        model=recipe.engine.model,
        sampling=recipe.sampling,
        generations=recipe.generations,
    )


def _check_store(recipe: MineRecipe, store: Store, asking: Asking, rows: Sequence[Asked]) -> None:
    """Raise UsageError if the store holds generations of this name, and none of them is of this run."""
    mine = [tally for tally in store.tallies() if tally.step == Step.MINE and tally.teacher == asking.teacher]
    there = sum(tally.replies for tally in mine)
    if there and not any(key in store for row in rows for key in asking.keys(row)):
        raise UsageError(
            f"store {recipe.store} holds {there} generations of another guard",
            why=f"none of them is of the guard, the mixture and the sampling of this recipe; all are of an engine "
            f"named {asking.teacher!r}",
            fix="name another `mine.store`, or the guard and the mixture that those are of",
        )


def _samples(rows: Iterable[Asked], asking: Asking, store: Store) -> Iterator[Sample]:
    """The rows with their generations, in the order given.

    Raises: UsageError if one is not in the store.
    """
    for row in rows:
        replies = [store.get(key) for key in asking.keys(row)]
        found = [reply for reply in replies if reply is not None]
        if len(found) < len(replies):
            raise UsageError(f"the store lacks generations of the row {row.key}", fix="run the same command again")
        yield Sample(row, tuple(generation(reply, judge(row.labels, reply)) for reply in found))


def _write(recipe: MineRecipe, mixture: Mixture, guard: GuardId, found: Found) -> dict[str, Any]:
    """Put the folder into its place; what its mine.json states."""
    counted = found.counted()
    difficult = [sample.row.id for sample in counted if sample.kind(recipe.keep) is Kind.DIFFICULT]
    of = _stated(recipe, mixture, guard)
    with replaced(Path(recipe.out), marker=MINED, what=_WHAT) as folder:
        write_samples(folder, found, counted, recipe.keep)
        new = None
        if difficult:
            said = _of_mixture(recipe, mixture, of, sha256_of(folder / DIFFICULT))
            made = write_oversampled(folder / MIXTURE, mixture, difficult, recipe.times, said)
            new = {name: made[name] for name in ("name", "version", "hash", "rows")}
        return write_report(folder, of | {"new_mixture": new}, count(counted, recipe.keep, found.facts))


def _stated(recipe: MineRecipe, mixture: Mixture, guard: GuardId) -> dict[str, Any]:
    """Of what it is; no path of this machine, no time."""
    return {
        "format": 1,
        "tool": {"name": "safety-reasoning", "version": version("safety-reasoning")},
        "guard": dataclasses.asdict(guard),
        "mixture": {name: mixture.stated[name] for name in ("name", "version", "hash", "rows")},
        "engine": recipe.engine.name,
        "sampling": recipe.sampling.shape,
        "generations": recipe.generations,
        "keep": list(recipe.keep),
        "times": recipe.times,
    }


def _of_mixture(recipe: MineRecipe, mixture: Mixture, of: Mapping[str, Any], sha256: str) -> dict[str, Any]:
    """What the new mixture states otherwise than the old one."""
    often = "twice" if recipe.times == 1 else f"{recipe.times + 1} times"
    return {
        "name": recipe.name or f"{mixture.stated['name']}, difficult rows {often}",
        "version": recipe.version,
        "tool": of["tool"],
        "oversample": {"keys": {"file": DIFFICULT, "sha256": sha256}, "times": recipe.times},
        "mined": {name: of[name] for name in ("guard", "mixture", "generations", "keep", "sampling")},
    }
