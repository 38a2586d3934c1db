"""Survey: what a store holds of what a recipe needs, counted sample by sample without asking anything."""

from collections import Counter
from collections.abc import Iterator

from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.plan import steps
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe, VerdictSource
from safety_reasoning.builders.resume import begin, is_finished
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.spool import Spool
from safety_reasoning.builders.store import Store

_PAUSE = 1000
"""Samples between two moments at which a signal is heard."""


class Survey:
    """The ledger's totals, and which samples lack a reply."""

    def __init__(self, recipe: Recipe, samples: Spool, store: Store, ledger: Ledger) -> None:
        self._verdict: VerdictSource = recipe.release.verdict
        self._samples, self._store, self._ledger = samples, store, ledger
        self._pending = {teacher.name: bytearray(len(samples)) for teacher in recipe.teachers}

    def lacks(self, teacher: TeacherRecipe) -> int:
        """Samples whose chain lacks a reply of the teacher."""
        return self._pending[teacher.name].count(1)

    def lacking(self, teacher: TeacherRecipe) -> Iterator[Sample]:
        """These samples."""
        for sample, lacks in zip(self._samples, self._pending[teacher.name], strict=True):
            if lacks:
                yield sample

    def count(self, teachers: tuple[TeacherRecipe, ...]) -> Iterator[None]:
        """Count these teachers' calls from the beginning, yielding now and then."""
        for teacher in teachers:
            self._ledger.restart(teacher.name)
        for number, sample in enumerate(self._samples):
            for teacher in teachers:
                self._pending[teacher.name][number] = self._count(sample, teacher)
            if number % _PAUSE == 0:
                yield

    def _count(self, sample: Sample, teacher: TeacherRecipe) -> bool:
        """Whether the chain lacks a reply; its calls go into the ledger."""
        planned = Counter(steps(teacher, self._verdict))
        self._ledger.plan(teacher.name, planned)
        finished = is_finished(sample, teacher, self._verdict, self._store)
        if finished is not None:
            if finished:
                self._ledger.found(teacher.name, planned)
            return not finished
        paused = begin(sample, teacher, self._verdict)
        found, extra = paused.skip(self._store)
        self._ledger.plan(teacher.name, extra)
        self._ledger.found(teacher.name, found)
        if paused.call is None:
            self._ledger.drop(teacher.name, paused.expected)
        return paused.call is not None
