"""A sample as a prompt/completion conversation, as TRL and LlamaFactory read them.

The prompt is the inference prompt (paper, Appendix H.3); the completion is the trace in <think> tags, if there is
one, and the gold labels in the answer's format. The loss is on the completion alone.
"""

from dataclasses import dataclass
from typing import Literal, TypedDict

from safety_reasoning.builders.prompts import load_prompt, render
from safety_reasoning.builders.questions import inference_prompt
from safety_reasoning.builders.samples import ContentSafetySample, Sample
from safety_reasoning.builders.verdicts import END_THINK, THINK

RowMode = Literal["reasoning", "non_reasoning"]
"""Whether the completion holds a trace."""
OWN_VARIABLE = "{prompt}"
"""Where the user's prompt stands in the prompt that a mixture has in place of the paper's; it stands there once."""


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


class Conversation(TypedDict):
    """One example for supervised fine-tuning."""

    prompt: list[Message]
    completion: list[Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How a guard of two modes is told which one is wanted (paper, section 5.4)."""

    place: Literal["prefix", "suffix", "template"]
    """prefix: before the prompt, as in the paper. suffix: after it, as for Nemotron-Content-Safety-Reasoning-4B.
    template: not in the text; the chat template is given `enable_thinking`."""
    on: str
    """The mark of reasoning."""
    off: str

    def put(self, prompt: str, mode: RowMode) -> str:
        """The prompt with the mark of the mode."""
        text = self.on if mode == "reasoning" else self.off
        if self.place == "prefix":
            return f"{text} {prompt}"
        return f"{prompt} {text}" if self.place == "suffix" else prompt


def conversation(
    sample: Sample, trace: str | None, *, policy: str | None = None, mark: Mark | None = None
) -> Conversation:
    """The conversation that teaches the sample's gold labels, by way of the trace if there is one.

    `policy` stands in place of the sample's taxonomy. With a mark both modes have the same prompt, so that the mark
    alone tells them apart; without one, a prompt that wants no reasoning does not ask for thinking.
    """
    mode: RowMode = "non_reasoning" if trace is None else "reasoning"
    prompt = guard_prompt(sample, reasoning=trace is not None or mark is not None, policy=policy)
    answer = gold_answer(sample)
    return Conversation(
        prompt=[Message(role="user", content=prompt if mark is None else mark.put(prompt, mode))],
        completion=[
            Message(role="assistant", content=answer if trace is None else f"{THINK}\n{trace}\n{END_THINK}\n\n{answer}")
        ],
    )


def guard_prompt(sample: Sample, *, reasoning: bool, policy: str | None = None) -> str:
    """The text that asks a guard about the sample, its labels untold."""
    name, variables = inference_prompt(sample, reasoning=reasoning)
    if policy is not None and isinstance(sample, ContentSafetySample):
        variables["taxonomy"] = policy
    return render(load_prompt(name), variables)


def gold_answer(sample: Sample) -> str:
    """The answer that a perfect guard gives; a record has no refusal label, so it has no refusal line."""
    if isinstance(sample, ContentSafetySample):
        return f"Prompt harm: {sample.prompt_harm}\n\nResponse harm: {sample.response_harm}"
    return sample.topic
