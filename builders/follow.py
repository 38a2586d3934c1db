"""Follow: one sample's calls, asked one after another, as far as they can be answered.

Whoever follows goes on only when the reply is on disk, so whatever stops the run, at most the calls in flight are
asked again.
"""

from collections import Counter
from dataclasses import dataclass

from safety_reasoning.builders.asking import Desk
from safety_reasoning.builders.calls import Reply, Request, Step
from safety_reasoning.builders.recipe import EngineRecipe, Recipe, TeacherRecipe
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.survey import Survey
from safety_reasoning.builders.teachers.protocol import Teacher


@dataclass(slots=True, kw_only=True)
class Follower:
    """Asks for one run; used by all of its workers."""

    recipe: Recipe
    survey: Survey
    desk: Desk
    judge: Teacher | None
    """The judge's engine, where the recipe has one."""

    async def follow(self, sample: Sample, teacher: TeacherRecipe, engine: Teacher | None) -> None:
        """Ask what the sample lacks of the teacher, and of the judge about it; without an engine, the judge alone."""
        paused = resume(sample, teacher, self.recipe, self.desk.store)
        while paused.call is not None and (engine or paused.call.step is Step.JUDGE):
            if paused.is_extra:
                self.desk.ledger.plan(teacher.name, Counter([paused.call.step]))
            reply = await self._ask(paused.call.request(paused.key), teacher, engine)
            if reply is None:
                return
            paused.go_on(reply)
            found, extra = paused.skip(self.desk.store)  # replies behind a gap, at which the survey stopped
            self.desk.ledger.plan(teacher.name, extra)
            self.desk.ledger.found(teacher.name, found)
        if paused.ended is not None:
            self.desk.ledger.drop(teacher.name, paused.expected)
            self.desk.committer.note(self.survey.note_key(sample, teacher), paused.ended)

    async def _ask(self, request: Request, teacher: TeacherRecipe, engine: Teacher | None) -> Reply | None:
        """The reply, on disk; None where there is none to be had now."""
        asked: EngineRecipe = teacher
        if request.step is Step.JUDGE and self.recipe.judge:
            asked, engine = self.recipe.judge, self.judge
        if engine is None:
            raise TypeError(f"nobody was opened to ask for {request.step}")
        return await self.desk.ask(request, asked, engine)
