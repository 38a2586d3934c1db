"""One record of a release as a prompt/completion conversation, as TRL and LlamaFactory read them.

The prompt is the inference prompt (paper, Appendix H.3); the completion is the trace in <think> tags, if the
mode has one, and the gold labels in the answer's format. The loss is on the completion alone.
"""

from typing import Literal, TypedDict

from safety_reasoning.builders.prompts import load_prompt, render
from safety_reasoning.builders.questions import inference_prompt
from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.samples import ContentSafetySample, Sample
from safety_reasoning.builders.verdicts import END_THINK, THINK

Mode = Literal["full", "efficient", "none"]
"""Which trace the completion holds; none trains a non-reasoning guard."""


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


class Conversation(TypedDict):
    """One example for supervised fine-tuning."""

    prompt: list[Message]
    completion: list[Message]


def conversation(record: Record, teacher: str, mode: Mode) -> Conversation | None:
    """The conversation of a record; None where the mode wants a trace and this teacher has none to trust.

    A trace is trusted if the teacher's verdict is known to agree with the gold label.
    """
    trace = None if mode == "none" else _trusted(record.traces[teacher], mode)
    if trace is None and mode != "none":
        return None
    name, variables = inference_prompt(record.sample, reasoning=trace is not None)
    answer = gold_answer(record.sample)
    completion = answer if trace is None else f"{THINK}\n{trace}\n{END_THINK}\n\n{answer}"
    return Conversation(
        prompt=[Message(role="user", content=render(load_prompt(name), variables))],
        completion=[Message(role="assistant", content=completion)],
    )


def _trusted(traces: TeacherTraces, mode: Mode) -> str | None:
    if traces.mismatch is not False:
        return None
    return traces.full if mode == "full" else traces.efficient


def gold_answer(sample: Sample) -> str:
    """The answer that a perfect guard gives; a record has no refusal label, so it has no refusal line."""
    if isinstance(sample, ContentSafetySample):
        return f"Prompt harm: {sample.prompt_harm}\n\nResponse harm: {sample.response_harm}"
    return sample.topic
