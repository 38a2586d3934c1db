"""Make a mixture: what a guard is trained on, from releases, as a data set of its own.

Every part is looked at twice: once to see which rows can be used and by whom, once to write those that are taken, so
that only keys are held in memory. Same releases, same recipe, same bytes.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl

from safety_reasoning.builders.left_out import BadRow
from safety_reasoning.builders.progress import Progress, Silent
from safety_reasoning.builders.records import Record
from safety_reasoning.builders.sources.aegis import load_reconstructions
from safety_reasoning.errors import UsageError
from safety_reasoning.hub.reading import Side, opened
from safety_reasoning.place import refuse_foreign, replaced
from safety_reasoning.train.conversations import conversation
from safety_reasoning.train.decontaminate import Index, build_index
from safety_reasoning.train.decontaminate_texts import load_benchmarks, texts_of
from safety_reasoning.train.mixture_card import write_card
from safety_reasoning.train.mixture_plan import Plan, Taken, check_budget, make_plan, reasons_in_words
from safety_reasoning.train.mixture_recipe import DecontaminateRecipe, MixtureRecipe
from safety_reasoning.train.mixture_rows import Reader, open_reader
from safety_reasoning.train.mixture_stated import STATED, Stated, state, write_aside, write_stated
from safety_reasoning.train.mixture_survey import Survey, Surveyor, trace_of
from safety_reasoning.train.mixture_write import MixtureWriter, row_of

_POLICY_BYTES = 1 << 20


def make_mixture(recipe: MixtureRecipe, progress: Progress | None = None) -> Stated:
    """Make and put into place the recipe's mixture; what its mixture.json states.

    Raises: UsageError if a release, a teacher, a benchmark or the place is not what the recipe takes it for, if fewer
    rows can be used than it asks for, or none.
    """
    progress = progress or Silent()
    out = Path(recipe.out)
    refuse_foreign(out, marker=STATED, what="mixture")
    policy = _policy(recipe)
    often = _oversampled(recipe)
    with ExitStack() as stack:
        sides = [_opened(part.release, stack, progress) for part in recipe.parts]
        readers = _readers(recipe, sides)
        index = _index(recipe.decontaminate, progress)
        plans = _plans(recipe, sides, readers, index, progress)
        _check_oversampled(often, plans)
        with replaced(out, marker=STATED, what="mixture") as folder:
            progress.stage("writing the mixture")
            with MixtureWriter(folder, recipe.marked) as writer:
                for plan in plans:
                    _write_part(plan, recipe, policy, often, writer)
            write_aside(folder, plans, judged=index is not None)
            stated = state(recipe, plans, index, writer)
            write_card(folder, stated, writer)
            return write_stated(folder, stated)


def _opened(release: str, stack: ExitStack, progress: Progress) -> Side:
    progress.stage(f"reading {release.rpartition('/')[2]}")
    return stack.enter_context(opened(release))


def _readers(recipe: MixtureRecipe, sides: Sequence[Side]) -> list[Reader]:
    """The readers of the parts.

    Raises: UsageError if a release lacks a task, a teacher or a budget of sentences.
    """
    texts = load_reconstructions(Path(recipe.suicide_detection) if recipe.suicide_detection else None)
    readers = []
    for part, side in zip(recipe.parts, sides, strict=True):
        reader = open_reader(side, part.task, recipe, texts)
        if recipe.sentences is not None:
            check_budget(side, reader, recipe.sentences)
        readers.append(reader)
    return readers


def _plans(
    recipe: MixtureRecipe, sides: Sequence[Side], readers: Sequence[Reader], index: Index | None, progress: Progress
) -> list[Plan]:
    """The plans of the parts.

    Raises: UsageError if one cannot be made, or nothing at all is taken.
    """
    plans: list[Plan] = []
    seen: set[str] = set()
    for part, (side, reader) in enumerate(zip(sides, readers, strict=True)):
        progress.stage(f"choosing among the rows of {reader.task}")
        surveyor = Surveyor(part=part, reader=reader, recipe=recipe, index=index, seen=seen, survey=Survey())
        plans.append(make_plan(side, reader, surveyor.run(), recipe, part))
    if not any(plan.taken for plan in plans):
        unused = [row for plan in plans for row in plan.unused]
        raise UsageError(
            "nothing is left to train on: the mixture would be empty",
            why=f"left out: {reasons_in_words(unused) or 'none; the release has no rows'}",
            fix="name other `teachers`, or a release with more rows",
        )
    return plans


def _index(recipe: DecontaminateRecipe | None, progress: Progress) -> Index | None:
    if recipe is None:
        return None
    benchmarks = load_benchmarks(Path(recipe.benchmarks))
    progress.stage(f"reading {len(benchmarks)} benchmarks")
    texts = (text for benchmark in benchmarks for text in texts_of(benchmark))
    index = build_index(texts, n=recipe.ngram, min_share=recipe.min_share)
    silent = [benchmark.name for benchmark in benchmarks if benchmark.name not in index.too_short]
    if silent:
        raise UsageError(
            f"benchmark {silent[0]} has no text", why="its columns are empty in every row", fix="correct its `columns`"
        )
    return index


def _check_oversampled(often: Mapping[str, int], plans: Sequence[Plan]) -> None:
    """Raise UsageError if rows are to be seen more often and none of them is in the mixture."""
    taken = (key for plan in plans for key, usable in plan.survey.usable.items() if usable.row in plan.taken)
    if often and not any(key in often for key in taken):
        raise UsageError(
            f"none of the {len(often)} keys to oversample is in the mixture",
            why="they are of another release, or the subset took other rows",
            fix="name the keys of rows that the mixture holds",
        )


def _write_part(
    plan: Plan, recipe: MixtureRecipe, policy: str | None, often: Mapping[str, int], writer: MixtureWriter
) -> None:
    for number, found in plan.reader.rows():
        taken = plan.taken.get(number)
        if taken is None or isinstance(found, BadRow):
            continue
        row = _row(found, taken, recipe, policy)
        for _ in range(1 + often.get(found.key, 0)):
            writer.add(row)


def _row(record: Record, taken: Taken, recipe: MixtureRecipe, policy: str | None) -> dict[str, Any]:
    trace = None if taken.teacher is None else trace_of(record.traces[taken.teacher], recipe.trace)
    said = conversation(record.sample, trace, policy=policy, mark=recipe.marked)
    return row_of(record.sample, taken.mode, taken.teacher, said, recipe.marked)


def _policy(recipe: MixtureRecipe) -> str | None:
    """The text of the custom policy.

    Raises: UsageError if the file cannot be read, is empty or is too large for a prompt.
    """
    if recipe.policy is None:
        return None
    try:
        said = Path(recipe.policy).read_bytes()[: _POLICY_BYTES + 1]
        text = said.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"policy {recipe.policy} cannot be read", why=type(error).__name__) from error
    if not text or len(said) > _POLICY_BYTES:
        what = f"is larger than {_POLICY_BYTES} bytes" if text else "is empty"
        raise UsageError(f"policy {recipe.policy} {what}", fix="name a text file that a prompt can hold")
    return text


def _oversampled(recipe: MixtureRecipe) -> dict[str, int]:
    """How many more times a key is in the mixture.

    Raises: UsageError if the file cannot be read or has no column `key`.
    """
    if recipe.oversample is None:
        return {}
    path = Path(recipe.oversample.keys)
    try:
        frame = pl.read_parquet(path, glob=False) if path.suffix == ".parquet" else pl.read_ndjson(path)
        keys = frame.get_column("key").cast(pl.String).drop_nulls().to_list()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(
            f"the keys to oversample, {path}, cannot be read",
            why=str(error).splitlines()[0],
            fix="name a Parquet or JSON Lines file with a column `key`",
        ) from error
    return dict.fromkeys(keys, recipe.oversample.times)
