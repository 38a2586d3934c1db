"""Questions: the call of each step, as a prompt and what fills its variables. Pure."""

from typing import cast

from safety_reasoning.builders.calls import Call, Reply, Step
from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.recipe import EngineRecipe, JudgeRecipe, Sampling, TeacherRecipe
from safety_reasoning.builders.samples import ContentSafetySample, Sample, TopicControlSample
from safety_reasoning.builders.sift import full_prompt
from safety_reasoning.builders.teachers.embedded import MODEL, grammar_for


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


def sampling_for(asked: EngineRecipe, step: Step) -> Sampling:
    """How a teacher, or the judge, is asked for a step."""
    if isinstance(asked, JudgeRecipe):
        return asked.sampling
    teacher = cast(TeacherRecipe, asked)
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
