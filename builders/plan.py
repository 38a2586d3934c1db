"""Plan: which calls a sample needs. Pure: a call follows from the recipe, the sample and earlier replies."""

from collections.abc import Iterator, Sequence

from safety_reasoning.builders.calls import Call, Reply, Status, Step
from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.samples import ContentSafetySample, Sample, TopicControlSample
from safety_reasoning.builders.teachers.embedded import MODEL, grammar_for
from safety_reasoning.filters.apply import reasons

ONE_SENTENCE = "one sentence of at most 30 words"
"""The budget of an efficient trace as the teacher reads it; the paper's one-sentence traces have about 15."""


def first_calls(recipe: Recipe, samples: Sequence[Sample]) -> Iterator[Call]:
    """The calls that need no earlier reply: full traces, and blind predictions where the recipe wants them."""
    for sample in samples:
        for teacher in recipe.teachers:
            yield full_call(sample, teacher)
            if recipe.release.verdict == "blind":
                yield predict_call(sample, teacher)


def full_call(sample: Sample, teacher: TeacherRecipe) -> Call:
    """Ask for the trace and the verdict beside it, the gold label told (paper, section 4.1)."""
    if isinstance(sample, ContentSafetySample):
        prompt = f"generate_{sample.taxonomy}"
        variables = _interaction(sample) | _harm_labels(sample)
    else:
        prompt = "generate_topic"
        variables = _dialogue(sample) | {"topic_label": sample.topic}
    return _call(Step.FULL, sample, teacher, prompt, variables)


def predict_call(sample: Sample, teacher: TeacherRecipe) -> Call:
    """Ask for a verdict with the inference prompt, which does not tell the gold label (paper, H.3)."""
    prompt, variables = inference_prompt(sample, reasoning=True)
    return _call(Step.PREDICT, sample, teacher, prompt, variables)


def inference_prompt(sample: Sample, *, reasoning: bool) -> tuple[str, dict[str, str]]:
    """The name and variables of the prompt that asks a guard about a sample, its label untold (paper, H.3)."""
    suffix = "" if reasoning else "_no_reasoning"
    if isinstance(sample, ContentSafetySample):
        taxonomy = load_prompt(f"taxonomy_{sample.taxonomy}").body
        return f"classify_safety{suffix}", {"taxonomy": taxonomy} | _interaction(sample)
    return f"classify_topic{suffix}", _dialogue(sample)


def efficient_call(sample: Sample, teacher: TeacherRecipe, full: Reply | None) -> Call | None:
    """Ask to shorten the full trace (paper, section 5.3); None where there is none that would be released."""
    if full is None or full.status is not Status.OK or full.reasoning is None or reasons(full.reasoning):
        return None
    variables = {"budget": ONE_SENTENCE, "trace": full.reasoning}
    return _call(Step.EFFICIENT, sample, teacher, "efficient", variables, parent_key=full.key)


def _call(
    step: Step,
    sample: Sample,
    teacher: TeacherRecipe,
    prompt: str,
    variables: dict[str, str],
    parent_key: str = "",
) -> Call:
    sampling = {Step.FULL: teacher.full, Step.PREDICT: teacher.predict, Step.EFFICIENT: teacher.efficient}[step]
    return Call(
        step=step,
        sample_key=sample.key,
        teacher=teacher.name,
        model=teacher.model or MODEL,
        prompt=load_prompt(prompt),
        variables=variables,
        sampling=sampling,
        parent_key=parent_key,
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
