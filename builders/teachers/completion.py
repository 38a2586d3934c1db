"""One chat completion: a call sent through the OpenAI client, and what came back as a reply."""

import time
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionMessage

from safety_reasoning.builders.calls import Call, Reply, Status, Step
from safety_reasoning.builders.verdicts import split_think


class BadBody(Exception):
    """HTTP 200, and no answer in it."""


async def complete(client: openai.AsyncOpenAI, call: Call) -> Reply:
    """One request, one reply. Whatever the client raises comes through; `BadBody` for a 200 without answer."""
    sampling = call.sampling
    extra = dict(sampling.extra_body)
    if call.grammar:
        extra["grammar"] = call.grammar
    started = time.monotonic()
    completion = await client.chat.completions.create(
        model=call.model,
        messages=[{"role": "user", "content": call.text()}],
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        extra_body=extra or None,
    )
    return to_reply(call, completion, time.monotonic() - started)


def to_reply(call: Call, completion: ChatCompletion, latency_s: float) -> Reply:
    """What a chat completion says; reasoning in `reasoning`, `reasoning_content` or <think> tags.

    The client checks no types: every field may hold any JSON value.
    Raises: BadBody if the body is an error, has no choice or an answer that is no text.
    """
    choices: Any = getattr(completion, "choices", None)
    message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    if not isinstance(message, ChatCompletionMessage):
        raise BadBody("the body holds no choice" + (": an error" if _extra(completion, "error") else ""))
    answer: object = message.content or ""
    if not isinstance(answer, str):
        raise BadBody("the answer is no text")
    reasoning = _extra(message, "reasoning") or _extra(message, "reasoning_content")
    if not isinstance(reasoning, str):
        reasoning, answer = split_think(answer)
    finish = _word(choices[0], "finish_reason")
    return Reply(
        key=call.key,
        status=_status(call.step, finish, reasoning, answer),
        reasoning=reasoning,
        answer=answer,
        finish_reason=finish,
        model=_word(completion, "model"),
        prompt_tokens=_count(completion, "prompt_tokens"),
        completion_tokens=_count(completion, "completion_tokens"),
        latency_s=round(latency_s, 4),
    )


def _status(step: Step, finish: str, reasoning: str | None, answer: str) -> Status:
    if finish == "length":
        return Status.TRUNCATED
    if step is Step.FULL and not (reasoning and reasoning.strip()):
        return Status.EMPTY_REASONING
    return Status.OK if answer.strip() else Status.EMPTY_ANSWER


def _word(of: object, field: str) -> str:
    """A text beside the answer, as UTF-8 can hold it; '' for anything else."""
    value = getattr(of, field, None)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(completion: object, field: str) -> int:
    """Tokens, 0 where the server does not count them."""
    value = getattr(getattr(completion, "usage", None), field, None)
    return value if isinstance(value, int) and 0 <= value < 2**63 else 0


def _extra(model: object, field: str) -> object:
    return (getattr(model, "model_extra", None) or {}).get(field)
