"""Plan: which calls a sample needs of a teacher, one after another. Pure: nothing is asked or looked up here.

`chain` is the single place that knows the order of calls. The run drives it with teachers and the store, the
join with the store alone, so both come to the same answers.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from safety_reasoning.builders.calls import Call, Reply, Status, Step
from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.recipe import Sampling, TeacherRecipe, VerdictSource
from safety_reasoning.builders.samples import ContentSafetySample, Sample, TopicControlSample
from safety_reasoning.builders.teachers.embedded import MODEL, grammar_for
from safety_reasoning.builders.verdicts import mismatch
from safety_reasoning.filters.apply import reasons

ONE_SENTENCE = "one sentence of at most 30 words"
"""The budget of an efficient trace as the teacher reads it; the paper's one-sentence traces have about 15."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a teacher's replies to a sample come to."""

    full: Reply
    judged: Reply
    """The reply whose verdict counts: the full one, or the blind prediction."""
    efficient: Reply | None
    """None where there is no full trace to shorten."""


Chain = Generator[Call, Reply, Answers]
"""Yields the next call, is sent its reply, returns the answers."""


def chain(sample: Sample, teacher: TeacherRecipe, verdict: VerdictSource) -> Chain:
    """Every call that the sample needs of the teacher."""
    fulls = []
    for index in range(teacher.samples):
        fulls.append((yield from _answered(full_call(sample, teacher, index))))
    full = best(sample, fulls)
    judged = full
    if verdict == "blind":
        judged = yield from _answered(predict_call(sample, teacher))
    rewrite = efficient_call(sample, teacher, full)
    efficient = None if rewrite is None else (yield from _answered(rewrite))
    return Answers(full=full, judged=judged, efficient=efficient)


def _answered(call: Call) -> Generator[Call, Reply, Reply]:
    """A call, and once more with a larger limit where it was truncated and the recipe allows that."""
    reply = yield call
    longer = call.longer() if reply.status is Status.TRUNCATED else None
    return reply if longer is None else (yield longer)


def steps(teacher: TeacherRecipe, verdict: VerdictSource) -> list[Step]:
    """The steps of a chain in which every trace can be used and none is truncated."""
    blind = [Step.PREDICT] if verdict == "blind" else []
    return [Step.FULL] * teacher.samples + blind + [Step.EFFICIENT]


def closing_keys(sample: Sample, teacher: TeacherRecipe, verdict: VerdictSource) -> tuple[str, ...]:
    """Keys that, all in the store and none truncated, prove a chain finished without a text being read; () for none.

    Most chains end so, and a rerun of a finished store decompresses next to nothing.
    """
    if teacher.samples > 1:
        return ()
    full = full_call(sample, teacher).key
    blind = (predict_call(sample, teacher).key,) if verdict == "blind" else ()
    return (full, *blind, shorten(sample, teacher, full, "").key)


def best(sample: Sample, replies: Sequence[Reply]) -> Reply:
    """The reply to release: the first that is usable and agrees with the label, else the first usable, else the first.

    The order is that of the sample index, so it does not depend on which reply came first.
    """
    if len(replies) == 1:
        return replies[0]
    usable = [reply for reply in replies if is_usable(reply)]
    agreeing = (reply for reply in usable if mismatch(sample, reply.answer) is False)
    return next(agreeing, usable[0] if usable else replies[0])


def is_usable(reply: Reply) -> bool:
    """Whether the reply's full trace would be released."""
    return reply.status is Status.OK and reply.reasoning is not None and not reasons(reply.reasoning)


def full_call(sample: Sample, teacher: TeacherRecipe, sample_index: int = 0) -> Call:
    """Ask for the trace and the verdict beside it, the gold label told (paper, section 4.1)."""
    if isinstance(sample, ContentSafetySample):
        prompt = f"generate_{sample.taxonomy}"
        variables = _interaction(sample) | _harm_labels(sample)
    else:
        prompt = "generate_topic"
        variables = _dialogue(sample) | {"topic_label": sample.topic}
    return _call(Step.FULL, sample, teacher, prompt, variables, sample_index=sample_index)


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


def efficient_call(sample: Sample, teacher: TeacherRecipe, full: Reply) -> Call | None:
    """Ask to shorten the full trace (paper, section 5.3); None where there is none that would be released."""
    return shorten(sample, teacher, full.key, full.reasoning or "") if is_usable(full) else None


def shorten(sample: Sample, teacher: TeacherRecipe, full_key: str, trace: str) -> Call:
    """The call that asks to shorten a trace; its key follows from `full_key`, whatever the trace says."""
    variables = {"budget": ONE_SENTENCE, "trace": trace}
    return _call(Step.EFFICIENT, sample, teacher, "efficient", variables, parent_key=full_key)


def sampling_for(teacher: TeacherRecipe, step: Step) -> Sampling:
    """How the teacher is asked for a step."""
    return {Step.FULL: teacher.full, Step.PREDICT: teacher.predict, Step.EFFICIENT: teacher.efficient}[step]


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
