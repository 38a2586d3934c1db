"""Survey: what a store holds of what a recipe needs, counted sample by sample without asking anything."""

from collections import Counter
from collections.abc import Iterator

from safety_reasoning.builders.finished import Ended, note_key, policy
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.plan import steps
from safety_reasoning.builders.questions import full_call
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.resume import begin
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.spool import Spool
from safety_reasoning.builders.store import Store

_PAUSE = 1000
"""Samples between two moments at which a signal is heard, and notes of finished chains are written."""


class Survey:
    """The ledger's totals, and which samples lack a reply."""

    def __init__(self, recipe: Recipe, samples: Spool, store: Store, ledger: Ledger) -> None:
        self._recipe = recipe
        self._samples, self._store, self._ledger = samples, store, ledger
        self._pending = {teacher.name: bytearray(len(samples)) for teacher in recipe.teachers}
        self._policies = {teacher.name: policy(teacher, recipe) for teacher in recipe.teachers}
        self._notes: dict[str, Ended] = {}

    def lacks(self, teacher: TeacherRecipe) -> int:
        """Samples whose chain lacks a reply of the teacher."""
        return self._pending[teacher.name].count(1)

    def lacking(self, teacher: TeacherRecipe) -> Iterator[Sample]:
        """These samples."""
        for sample, lacks in zip(self._samples, self._pending[teacher.name], strict=True):
            if lacks:
                yield sample

    def note_key(self, sample: Sample, teacher: TeacherRecipe) -> str:
        """Under which the end of the sample's chain is noted."""
        return note_key(self._policies[teacher.name], full_call(sample, teacher))

    def count(self, teachers: tuple[TeacherRecipe, ...]) -> Iterator[None]:
        """Count these teachers' calls from the beginning, yielding now and then."""
        for teacher in teachers:
            self._ledger.restart(teacher.name)
        for number, sample in enumerate(self._samples):
            for teacher in teachers:
                self._pending[teacher.name][number] = self._count(sample, teacher)
            if number % _PAUSE == 0:
                self._write_notes()
                yield
        self._write_notes()

    def _count(self, sample: Sample, teacher: TeacherRecipe) -> bool:
        """Whether the chain lacks a reply; its calls go into the ledger."""
        key = self.note_key(sample, teacher)
        noted = self._store.finished(key)
        if noted is not None:
            self._ledger.plan(teacher.name, noted.calls)
            self._ledger.found(teacher.name, noted.calls)
            return False
        self._ledger.plan(teacher.name, Counter(steps(teacher, self._recipe)))
        paused = begin(sample, teacher, self._recipe)
        found, extra = paused.skip(self._store)
        self._ledger.plan(teacher.name, extra)
        self._ledger.found(teacher.name, found)
        ended = paused.ended
        if ended is not None:
            self._ledger.drop(teacher.name, paused.expected)
            self._notes[key] = ended
        return ended is None

    def _write_notes(self) -> None:
        self._store.note_finished(self._notes)
        self._notes = {}
