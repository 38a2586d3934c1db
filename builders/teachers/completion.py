"""One completion of a chat, or of a raw text: a request sent to a server, and what came back as a reply."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from safety_reasoning.builders.calls import Reply, Request, Status, Step, TokenChoice
from safety_reasoning.builders.teachers.client import CHAT, TEXT, BadBody, ChatClient
from safety_reasoning.builders.teachers.logprobs import chat_tokens, text_tokens
from safety_reasoning.builders.verdicts import split_think

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming


async def complete(client: ChatClient, request: Request) -> Reply:
    """One request, one reply. Whatever the client raises comes through."""
    started = time.monotonic()
    completion = await client.create(request_body(request), endpoint=TEXT if request.raw else CHAT)
    return to_reply(request, completion, time.monotonic() - started)


def request_body(request: Request) -> dict[str, Any]:
    """The fields of the request; those of `extra_body` stand beside and, where they meet, above the others."""
    sampling = request.sampling
    body: CompletionCreateParamsNonStreaming = {
        "model": request.model,
        "messages": messages_of(request),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": request.seed,
    }
    fields = cast(dict[str, Any], body) | _wishes(request)
    if request.raw:
        del fields["messages"]
        fields["prompt"] = request.text
    template = {} if request.raw or not request.template_kwargs else {"chat_template_kwargs": template_of(request)}
    return fields | sampling.extra_body | template


def messages_of(request: Request) -> "list[ChatCompletionMessageParam]":
    """The chat as the protocol writes it."""
    return cast(
        "list[ChatCompletionMessageParam]", [{"role": turn.role, "content": turn.content} for turn in request.chat]
    )


def _wishes(request: Request) -> dict[str, Any]:
    fields: dict[str, Any] = {"grammar": request.grammar} if request.grammar else {}
    if not request.logprobs:
        return fields
    if request.raw:
        return fields | {"logprobs": request.logprobs}
    return fields | {"logprobs": True, "top_logprobs": request.logprobs}


def template_of(request: Request) -> dict[str, Any]:
    """The chat template's arguments, those of the recipe above the request's own."""
    return {**request.template_kwargs, **(request.sampling.extra_body.get("chat_template_kwargs") or {})}


def to_reply(request: Request, completion: Mapping[str, Any], latency_s: float) -> Reply:
    """What a completion says; reasoning in `reasoning`, `reasoning_content` or <think> tags.

    Every field may hold any JSON value.
    Raises: BadBody if the body is an error, has no choice or an answer that is no text.
    """
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = _message(choice, raw=request.raw)
    if message is None:
        raise BadBody("the body holds no choice" + (": an error" if completion.get("error") else ""))
    answer = message.get("content") or ""
    if not isinstance(answer, str):
        raise BadBody("the answer is no text")
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    if not isinstance(reasoning, str):
        reasoning, answer = split_think(answer)
    finish = _word(choice, "finish_reason")
    usage = completion.get("usage")
    return request.reply(
        status_of(request.step, finish, reasoning, answer),
        reasoning=reasoning,
        answer=answer,
        tokens=_tokens(request, choice),
        finish_reason=finish,
        model=_word(completion, "model"),
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        latency_s=round(latency_s, 4),
    )


def _message(choice: Any, *, raw: bool) -> dict[str, Any] | None:
    """The message of a choice; a text completion's is made of its text."""
    if not isinstance(choice, dict):
        return None
    message = {"content": choice["text"]} if raw and "text" in choice else choice.get("message")
    return message if isinstance(message, dict) else None


def _tokens(request: Request, choice: Any) -> tuple[TokenChoice, ...]:
    if not request.logprobs:
        return ()
    return (text_tokens if request.raw else chat_tokens)(choice, request.logprobs)


def status_of(step: Step, finish: str, reasoning: str | None, answer: str) -> Status:
    """How a reply ended, the same for every engine; `finish` as the protocol's finish_reason."""
    if finish == "length":
        return Status.TRUNCATED
    if step is Step.FULL and not (reasoning and reasoning.strip()):
        return Status.EMPTY_REASONING
    return Status.OK if answer.strip() else Status.EMPTY_ANSWER


def _word(of: Any, field: str) -> str:
    """A text beside the answer, as UTF-8 can hold it; '' for anything else."""
    value = of.get(field)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(usage: object, field: str) -> int:
    """Tokens, 0 where the server does not count them."""
    value = usage.get(field) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and 0 <= value < 2**63 else 0
