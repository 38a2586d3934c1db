"""Plan: which calls a sample needs of a teacher, one after another. Pure: nothing is asked or looked up here.

`chain` is the single place that knows the order of calls. The run drives it with teachers and the store, the
join with the store alone, so both come to the same answers.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from safety_reasoning.builders.calls import Call, Reply, Status, Step
from safety_reasoning.builders.judge import judge_call
from safety_reasoning.builders.opinion import NOT_JUDGED, Opinion, read_opinion
from safety_reasoning.builders.questions import efficient_call, full_call, predict_call
from safety_reasoning.builders.recipe import JudgeRecipe, Recipe, TeacherRecipe
from safety_reasoning.builders.regenerate import AGAIN, again
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sift import Sifted, best, sift_efficient, sift_full


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a teacher's replies to a sample come to."""

    full: Sifted
    verdict: Reply
    """The reply whose verdict counts: the full one, or the blind prediction."""
    efficient: Sifted | None
    """None where there is no full trace to shorten."""


Chain = Generator[Call, Reply, Answers]
"""Yields the next call, is sent its reply, returns the answers."""
_Sift = Callable[[Reply], Sifted]


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whose traces a chain is about."""

    sample: Sample
    recipe: Recipe
    tried: list[Sifted]


def chain(sample: Sample, teacher: TeacherRecipe, recipe: Recipe, tried: list[Sifted]) -> Chain:
    """Every call that the sample needs of the teacher, and of the judge about it; each trace goes into `tried`."""
    subject = _Subject(sample, recipe, tried)
    fulls = []
    for index in range(teacher.samples):
        first = full_call(sample, teacher, index)
        fulls.append((yield from _until_kept(first, lambda reply: sift_full(sample, reply, recipe), subject)))
    full = best(sample, fulls)
    verdict = full.reply
    if recipe.release.verdict == "blind":
        verdict = yield from _answered(predict_call(sample, teacher))
    efficient = None
    if not full.reasons:
        rewrite = efficient_call(sample, teacher, full.reply, recipe.release.sentences)
        efficient = yield from _until_kept(
            rewrite, lambda reply: sift_efficient(sample, reply, full.reply, recipe), subject
        )
    return Answers(full=full, verdict=verdict, efficient=efficient)


def _until_kept(first: Call, sift: _Sift, subject: _Subject) -> Generator[Call, Reply, Sifted]:
    """The first attempt whose trace is kept, else the last one."""
    failures: dict[str, None] = {}  # each once, in the order in which they came
    attempt = 0
    while True:
        sifted = sift((yield from _answered(again(first, attempt, list(failures)))))
        sifted = yield from _judged(sifted, first.teacher, subject)
        subject.tried.append(sifted)
        if not _worth_another(sifted) or attempt == subject.recipe.regenerate.attempts:
            return sifted
        failures |= dict.fromkeys(sifted.reasons)
        attempt += 1


def _worth_another(sifted: Sifted) -> bool:
    """Whether the trace is dropped for something that the teacher may do better."""
    if sifted.reply.status is not Status.OK:
        return sifted.reply.status in AGAIN
    return bool(set(sifted.reasons) - {NOT_JUDGED})


def _judged(sifted: Sifted, teacher: str, subject: _Subject) -> Generator[Call, Reply, Sifted]:
    """The trace with the judge's opinion, where the recipe wants one."""
    judge = subject.recipe.judge
    if judge is None or sifted.trace is None or (sifted.drops and judge.ask == "kept"):
        return sifted
    opinion = yield from _opinion(judge, sifted, teacher, subject.sample)
    return replace(sifted, opinion=opinion)


def _opinion(judge: JudgeRecipe, sifted: Sifted, teacher: str, sample: Sample) -> Generator[Call, Reply, Opinion]:
    """The first opinion that can be read, else the last reply's."""
    attempt = 0
    while True:
        reply = yield from _answered(judge_call(judge, sample, sifted, teacher, attempt))
        opinion = read_opinion(reply, judge.rubric)
        hopeless = reply.status is not Status.OK and reply.status not in AGAIN
        if opinion.found is not None or hopeless or attempt == judge.again:
            return opinion
        attempt += 1


def _answered(call: Call) -> Generator[Call, Reply, Reply]:
    """A call, and once more with a larger limit where it was truncated and the recipe allows that."""
    reply = yield call
    longer = call.longer() if reply.status is Status.TRUNCATED else None
    return reply if longer is None else (yield longer)


def steps(teacher: TeacherRecipe, recipe: Recipe) -> list[Step]:
    """The steps of a chain in which every trace is kept at the first attempt and none is truncated."""
    judge = [Step.JUDGE] if recipe.judge is not None else []
    blind = [Step.PREDICT] if recipe.release.verdict == "blind" else []
    return [Step.FULL, *judge] * teacher.samples + blind + [Step.efficient(recipe.release.sentences), *judge]
