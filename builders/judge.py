"""Judge: the call that asks a model what is wrong with a trace (paper, section 4.1, "LLM-as-a-judge evaluations").

The rubric has one file a failure mode. What is under review stands between lines that hold a hash of it, so that no
text can end its part by itself; the answer's shape is asked for in words and, where the server can, enforced.
"""

import json
from typing import Any

from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.builders.opinion import answer_schema
from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.recipe import JudgeRecipe, Sampling
from safety_reasoning.builders.samples import ContentSafetySample, Sample, digest
from safety_reasoning.builders.sift import Sifted
from safety_reasoning.builders.teachers.embedded import MODEL

_SEED_STEP = 1_000_003
_WARMER = 0.3
"""Added to the temperature each time that an answer could not be read: at 0, another seed changes nothing."""


def judge_call(judge: JudgeRecipe, sample: Sample, sifted: Sifted, teacher: str, attempt: int = 0) -> Call:
    """Ask the judge about the teacher's trace; `attempt` counts the answers that could not be read."""
    reasoning = sifted.trace or ""
    variables = {
        "rubric": "\n".join(f"- {mode}: {load_prompt(f'rubric/{mode}').body}" for mode in judge.rubric),
        "mark": f"===== {digest([sample.key, sifted.answer, reasoning])[:12]} =====",
        "case": _case(sample),
        "answer": sifted.answer.strip(),
        "reasoning": reasoning,
        "shape": json.dumps({mode: {"evidence": "", "present": False} for mode in judge.rubric}),
    }
    return Call(
        step=Step.JUDGE,
        sample_key=sample.key,
        teacher=teacher,
        model=judge.model or MODEL,
        prompt=load_prompt("judge"),
        variables=variables,
        sampling=_sampling(judge, attempt),
        sample_index=sifted.reply.sample_index,
        attempt=attempt,
    )


def _sampling(judge: JudgeRecipe, attempt: int) -> Sampling:
    sampling = judge.sampling
    changes: dict[str, Any] = {
        "seed": sampling.seed + attempt * _SEED_STEP,
        "temperature": sampling.temperature + attempt * _WARMER,
    }
    if judge.structured:
        schema = {"name": "findings", "strict": True, "schema": answer_schema(judge.rubric)}
        shape = {"response_format": {"type": "json_schema", "json_schema": schema}}
        changes["extra_body"] = shape | sampling.extra_body
    return sampling.changed(**changes)


def _case(sample: Sample) -> str:
    """What the trace is about, as its teacher read it, without the labels."""
    if isinstance(sample, ContentSafetySample):
        response = "There is no response." if sample.response is None else f"Assistant: {sample.response}"
        return f"User: {sample.prompt}\n\n{response}"
    turns = "\n".join(f"{turn.role}: {turn.content}" for turn in sample.history)
    return f"{sample.system_instruction}\n\n{turns}\n\nThe last user message: {sample.message}"
