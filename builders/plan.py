"""Plan: which calls a sample needs of a teacher, one after another. Pure: nothing is asked or looked up here.

`chain` is the single place that knows the order of calls. The run drives it with teachers and the store, the
join with the store alone, so both come to the same answers.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from safety_reasoning.builders.calls import Call, Reply, Status, Step
from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.recipe import Recipe, Sampling, TeacherRecipe
from safety_reasoning.builders.regenerate import AGAIN, again
from safety_reasoning.builders.samples import ContentSafetySample, Sample, TopicControlSample
from safety_reasoning.builders.teachers.embedded import MODEL, grammar_for
from safety_reasoning.builders.verdicts import mismatch, strip_think
from safety_reasoning.filters.quality import quality
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.sentences import count_sentences
from safety_reasoning.filters.trace import Trace, TraceStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A reply, the trace in it, and why that is not released."""

    reply: Reply
    trace: str | None
    """Without the tags around it; None where the reply has none."""
    drops: tuple[str, ...]
    """Reasons of the filters (`Drop`), or the reply's status; () for a trace that is released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a teacher's replies to a sample come to."""

    full: Judged
    verdict: Reply
    """The reply whose verdict counts: the full one, or the blind prediction."""
    efficient: Judged | None
    """None where there is no full trace to shorten."""


Chain = Generator[Call, Reply, Answers]
"""Yields the next call, is sent its reply, returns the answers."""
_Judge = Callable[[Reply], Judged]


def chain(sample: Sample, teacher: TeacherRecipe, recipe: Recipe) -> Chain:
    """Every call that the sample needs of the teacher."""
    attempts = recipe.regenerate.attempts
    fulls = []
    for index in range(teacher.samples):
        first = full_call(sample, teacher, index)
        fulls.append((yield from _until_kept(first, attempts, lambda reply: judge_full(sample, reply, recipe))))
    full = best(sample, fulls)
    verdict = full.reply
    if recipe.release.verdict == "blind":
        verdict = yield from _answered(predict_call(sample, teacher))
    efficient = None
    if not full.drops:
        rewrite = efficient_call(sample, teacher, full.reply, recipe.release.sentences)
        efficient = yield from _until_kept(
            rewrite, attempts, lambda reply: judge_efficient(sample, reply, full.reply, recipe)
        )
    return Answers(full=full, verdict=verdict, efficient=efficient)


def _until_kept(first: Call, attempts: int, judge: _Judge) -> Generator[Call, Reply, Judged]:
    """The first attempt whose trace is kept, else the last one."""
    failures: dict[str, None] = {}  # each once, in the order in which they came
    attempt = 0
    while True:
        judged = judge((yield from _answered(again(first, attempt, list(failures)))))
        hopeless = judged.reply.status is not Status.OK and judged.reply.status not in AGAIN
        if not judged.drops or hopeless or attempt == attempts:
            return judged
        failures |= dict.fromkeys(judged.drops)
        attempt += 1


def _answered(call: Call) -> Generator[Call, Reply, Reply]:
    """A call, and once more with a larger limit where it was truncated and the recipe allows that."""
    reply = yield call
    longer = call.longer() if reply.status is Status.TRUNCATED else None
    return reply if longer is None else (yield longer)


def steps(teacher: TeacherRecipe, recipe: Recipe) -> list[Step]:
    """The steps of a chain in which every trace is kept at the first attempt and none is truncated."""
    blind = [Step.PREDICT] if recipe.release.verdict == "blind" else []
    return [Step.FULL] * teacher.samples + blind + [Step.efficient(recipe.release.sentences)]


def best(sample: Sample, fulls: Sequence[Judged]) -> Judged:
    """The trace to release: the first that is kept and agrees with the label, else the first kept, else the first.

    The order is that of the sample index, so it does not depend on which reply came first.
    """
    if len(fulls) == 1:
        return fulls[0]
    kept = [full for full in fulls if not full.drops]
    agreeing = (full for full in kept if mismatch(sample, full.reply.answer) is False)
    return next(agreeing, kept[0] if kept else fulls[0])


def judge_full(sample: Sample, reply: Reply, recipe: Recipe) -> Judged:
    """The full trace of a reply under the recipe's filters."""
    text = None if reply.reasoning is None else strip_think(reply.reasoning)
    if reply.status is not Status.OK or text is None:
        return Judged(reply=reply, trace=None, drops=(reply.status,))
    return _judged(sample, reply, recipe, _Read(text, reply.answer, "full", full_prompt(sample)))


def judge_efficient(sample: Sample, reply: Reply, full: Reply, recipe: Recipe) -> Judged:
    """The efficient trace of a reply, the whole of its answer, under the recipe's filters and its budget."""
    if reply.status is not Status.OK:
        return Judged(reply=reply, trace=None, drops=(reply.status,))
    text = strip_think(" ".join(reply.answer.split()))
    judged = _judged(sample, reply, recipe, _Read(text, full.answer, "efficient", "efficient"))
    return replace(judged, drops=(*judged.drops, *_over_budget(text, recipe)))


class _Read(NamedTuple):
    """A trace as it is read: its text, the answer that it stands beside, its step and the prompt that asked for it."""

    text: str
    answer: str
    step: TraceStep
    prompt: str


def _judged(sample: Sample, reply: Reply, recipe: Recipe, read: _Read) -> Judged:
    trace = Trace(
        text=read.text,
        answer=read.answer,
        task=sample.task,
        step=read.step,
        finish_reason=reply.finish_reason,
        inputs=inputs(sample),
        template=load_prompt(read.prompt).fixed,
    )
    return Judged(reply=reply, trace=read.text, drops=quality(trace, recipe.filters))


def _over_budget(trace: str, recipe: Recipe) -> tuple[Drop, ...]:
    if Drop.OVER_BUDGET in recipe.filters.off or count_sentences(trace) <= recipe.release.sentences:
        return ()
    return (Drop.OVER_BUDGET,)


def inputs(sample: Sample) -> tuple[str, ...]:
    """What a teacher reads of a sample."""
    if isinstance(sample, ContentSafetySample):
        return (sample.prompt, sample.response or "")
    return (sample.system_instruction, *(turn.content for turn in sample.history), sample.message)


def full_prompt(sample: Sample) -> str:
    """The name of the prompt that asks for the sample's full trace."""
    return f"generate_{sample.taxonomy}" if isinstance(sample, ContentSafetySample) else "generate_topic"


def full_call(sample: Sample, teacher: TeacherRecipe, sample_index: int = 0) -> Call:
    """Ask for the trace and the verdict beside it, the gold label told (paper, section 4.1)."""
    if isinstance(sample, ContentSafetySample):
        variables = _interaction(sample) | _harm_labels(sample)
    else:
        variables = _dialogue(sample) | {"topic_label": sample.topic}
    return _call(Step.FULL, sample, teacher, full_prompt(sample), variables, sample_index=sample_index)


def predict_call(sample: Sample, teacher: TeacherRecipe, sample_index: int = 0) -> Call:
    """Ask for a verdict with the inference prompt, which does not tell the gold label (paper, H.3)."""
    prompt, variables = inference_prompt(sample, reasoning=True)
    return _call(Step.PREDICT, sample, teacher, prompt, variables, sample_index=sample_index)


def inference_prompt(sample: Sample, *, reasoning: bool) -> tuple[str, dict[str, str]]:
    """The name and variables of the prompt that asks a guard about a sample, its label untold (paper, H.3)."""
    suffix = "" if reasoning else "_no_reasoning"
    if isinstance(sample, ContentSafetySample):
        taxonomy = load_prompt(f"taxonomy_{sample.taxonomy}").body
        return f"classify_safety{suffix}", {"taxonomy": taxonomy} | _interaction(sample)
    return f"classify_topic{suffix}", _dialogue(sample)


def efficient_call(sample: Sample, teacher: TeacherRecipe, full: Reply, sentences: int) -> Call:
    """Ask to shorten a full trace to a budget (paper, section 5.3); the key follows from the reply's, not its text."""
    variables = {"budget": sentence_budget(sentences), "trace": full.reasoning or ""}
    return _call(Step.efficient(sentences), sample, teacher, "efficient", variables, parent_key=full.key)


def sentence_budget(sentences: int) -> str:
    """A budget as the teacher reads it; the paper's one-sentence traces have about 15 words."""
    return "one sentence of at most 30 words" if sentences == 1 else f"at most {sentences} sentences"


def sampling_for(teacher: TeacherRecipe, step: Step) -> Sampling:
    """How the teacher is asked for a step."""
    if step.is_efficient:
        return teacher.efficient
    return teacher.predict if step is Step.PREDICT else teacher.full


def _call(
    step: Step,
    sample: Sample,
    teacher: TeacherRecipe,
    prompt: str,
    variables: dict[str, str],
    *,
    parent_key: str = "",
    sample_index: int = 0,
) -> Call:
    return Call(
        step=step,
        sample_key=sample.key,
        teacher=teacher.name,
        model=teacher.model or MODEL,
        prompt=load_prompt(prompt),
        variables=variables,
        sampling=sampling_for(teacher, step),
        parent_key=parent_key,
        sample_index=sample_index,
        grammar=grammar_for(prompt) if teacher.engine == "embedded" else "",
    )


def _interaction(sample: ContentSafetySample) -> dict[str, str]:
    return {"prompt": sample.prompt, "response": _or_none(sample.response)}


def _harm_labels(sample: ContentSafetySample) -> dict[str, str]:
    labels = {
        "prompt_harm_label": sample.prompt_harm,
        "response_harm_label": _or_none(sample.response_harm),
    }
    if sample.taxonomy == "wildguard":
        labels["response_refusal_label"] = _or_none(sample.refusal)
    return labels


def _dialogue(sample: TopicControlSample) -> dict[str, str]:
    history = "\n".join(f"{turn.role}: {turn.content}" for turn in sample.history)
    return {
        "system_instruction": sample.system_instruction,
        "conversation_history": history or "None",
        "last_user_message": sample.message,
    }


def _or_none(value: str | None) -> str:
    """What H.1 and H.2 print where there is no response or no label."""
    return "None" if value is None else value
