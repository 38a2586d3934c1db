"""Tried: every trace that a store holds for a recipe, with what the filters and the judge say of it.

The chains are followed as the run and the join follow them, so an attempt that was asked for again is here as well
as the one that was released. A store that is not finished gives what it has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from safety_reasoning.builders.calls import Status, Step
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sift import Sifted
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.verdicts import mismatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One attempt at one trace."""

    sample: Sample
    teacher: str
    sifted: Sifted
    """Its reply (with step, sample index and attempt), trace, answer, reasons and the judge's opinion."""
    mismatch: bool | None
    """Whether the verdict beside the trace differs from the label; None for a rewrite and where there is no answer.
    (With `release.verdict = "blind"` the release's flag comes from another call.)"""
    chosen: bool
    """Whether it is the one that its chain ended with: the trace in the release, if it has no reasons."""


def tried(recipe: Recipe, samples: Iterable[Sample], store: Store) -> Iterator[Tried]:
    """Every attempt, sample by sample, teachers sorted by name, attempts in the order of their calls."""
    teachers = sorted(recipe.teachers, key=lambda teacher: teacher.name)
    for sample in samples:
        for teacher in teachers:
            yield from _of(sample, teacher, recipe, store)


def _of(sample: Sample, teacher: TeacherRecipe, recipe: Recipe, store: Store) -> Iterator[Tried]:
    paused = resume(sample, teacher, recipe, store)
    ends = set() if paused.answers is None else {paused.answers.full.reply.key}
    if paused.answers is not None and paused.answers.efficient is not None:
        ends.add(paused.answers.efficient.reply.key)
    for sifted in paused.tried:
        reply = sifted.reply
        has_verdict = reply.step is Step.FULL and reply.status is Status.OK
        yield Tried(
            sample=sample,
            teacher=teacher.name,
            sifted=sifted,
            mismatch=mismatch(sample, reply.answer) if has_verdict else None,
            chosen=reply.key in ends,
        )
