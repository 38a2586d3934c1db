"""The rows of one part: records as a release holds them, read piece by piece, with what training asks of them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from safety_reasoning.builders.left_out import BadRow
from safety_reasoning.builders.records import Record
from safety_reasoning.builders.samples import ContentSafetySample, Sample, digest
from safety_reasoning.builders.sources.aegis import REDACTED
from safety_reasoning.builders.sources.published import is_known, to_record
from safety_reasoning.errors import UsageError
from safety_reasoning.hub.reading import Side
from safety_reasoning.schemas.columns import Task, teacher_of
from safety_reasoning.train.mixture_recipe import MixtureRecipe
from safety_reasoning.train.mixture_unused import Unused

Taxonomy = Literal["aegis", "wildguard"]
_BATCH = 500
"""Rows in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How the rows of a part are read."""

    task: Task
    files: tuple[Path, ...]
    teachers: tuple[str, ...]
    """Whose columns are read."""
    taxonomy: Literal["own", "aegis", "wildguard"]
    """See `MixtureRecipe.taxonomy`."""
    reconstructions: Mapping[int, str]
    """Texts of REDACTED prompts by their id."""

    def rows(self) -> Iterator[tuple[int, Record | BadRow]]:
        """Every row with its number from 1, or why it is no record of its task.

        Raises: UsageError if a file cannot be read to its end.
        """
        number = 0
        for file in self.files:
            try:
                with pq.ParquetFile(file) as table:
                    columns = [name for name in table.schema_arrow.names if self._reads(name)]
                    for batch in table.iter_batches(batch_size=_BATCH, columns=columns):
                        for row in batch.to_pylist():
                            number += 1
                            yield number, self._record(row)
            except (pa.ArrowException, OSError) as error:
                raise UsageError(f"{file} cannot be read", why=str(error).splitlines()[0]) from error

    def _reads(self, column: str) -> bool:
        named = teacher_of(column)
        return is_known(column, self.task) if named is None else named[1] in self.teachers

    def _record(self, row: object) -> Record | BadRow:
        try:
            record = to_record(row, self.task)
            return replace(record, sample=self._sample(record.sample))
        except BadRow as bad:
            return bad

    def _sample(self, sample: Sample) -> Sample:
        if not isinstance(sample, ContentSafetySample):
            return sample
        taxonomy = _own_taxonomy(sample) if self.taxonomy == "own" else self.taxonomy
        prompt = sample.prompt
        if prompt == REDACTED:
            prompt = self.reconstructions.get(cast(int, sample.published["reconstruction_id_if_redacted"]), REDACTED)
        return replace(sample, taxonomy=taxonomy, prompt=prompt)


def _own_taxonomy(sample: ContentSafetySample) -> Taxonomy:
    """The taxonomy of the data set that the row is from: WildGuardMix has no ids, so its records' are of their text."""
    said = sample.published
    of_wildguard = said["id"] == digest(["wildguardmix", said["prompt"], said["response"]])
    return "wildguard" if of_wildguard else "aegis"


def open_reader(side: Side, task: Task, recipe: MixtureRecipe, reconstructions: Mapping[int, str]) -> Reader:
    """The reader of a task of a release, with the teachers that the recipe names, or all of them.

    Raises: UsageError if the release lacks the task or a teacher.
    """
    if task not in side.tables:
        raise UsageError(
            f"{side.named} has no records of {task}",
            why=f"it has {', '.join(side.tables)}",
            fix="choose another `task` or `release` for this part",
        )
    files = side.tables[task]
    there = _teachers(files)
    for name in recipe.teachers:
        if name not in there:
            raise UsageError(
                f"{side.named} has no teacher {name!r} in {task}",
                why=f"its teachers are {', '.join(there) or 'none'}",
                fix="correct `teachers`, or name a release that asked this one",
            )
    wanted = recipe.teachers if recipe.teachers or recipe.mode == "non_reasoning" else tuple(there)
    return Reader(task=task, files=files, teachers=wanted, taxonomy=recipe.taxonomy, reconstructions=reconstructions)


def _teachers(files: Collection[Path]) -> list[str]:
    columns = {name for file in files for name in pq.read_schema(file).names}
    return sorted({named[1] for column in columns if (named := teacher_of(column)) is not None})


def unusable_sample(sample: Sample) -> Unused | None:
    """Why nobody can be trained on the sample, whatever a teacher says of it; None if one can."""
    if not isinstance(sample, ContentSafetySample):
        return None
    if sample.prompt == REDACTED:
        return Unused.REDACTED
    if sample.response is not None and sample.response_harm is None:
        return Unused.RESPONSE_UNLABELLED
    return None
