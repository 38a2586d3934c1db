"""Our thin client beside AsyncOpenAI: the same request on the wire, the same answer and failures out of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from aiohttp import web

from safety_reasoning.builders.calls import Request, Step
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.builders.teachers.client import BadBody, ChatClient, Failed, HttpStatus, NoJson, Unreachable
from safety_reasoning.builders.teachers.completion import request_body, to_reply

REQUEST = Request(
    key="0" * 32,
    sample_key="1" * 32,
    teacher="t",
    step=Step.FULL,
    sample_index=2,
    model="m",
    text='Say {braces}, {{ jinja }}, "quotes", \\ and é – 中',
    sampling=Sampling(max_tokens=7, seed=40, extra_body={"top_k": 20, "chat_template_kwargs": {"x": False}}),
)
ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "served",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "yes é", "reasoning": "because"},
        }
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}


@asynccontextmanager
async def listening(status: int = 200, body: str = json.dumps(ANSWER), **headers: str) -> AsyncIterator[Any]:
    """A server that answers everything alike; its URL and what it was sent."""
    seen: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        sent = {name: request.headers.get(name) for name in ("Authorization", "Content-Type")}
        seen.append({"path": request.path, "method": request.method, **sent, "body": await request.json()})
        return web.Response(status=status, text=body, content_type="application/json", headers=headers)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", seen
    finally:
        await runner.cleanup()


async def with_ours(url: str, body: dict[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
    client = ChatClient(url, "sk-key", timeout_s=timeout_s, connections=2)
    try:
        return await client.create(body)
    finally:
        await client.close()


async def with_openai(url: str, request: Request) -> Any:
    client = openai.AsyncOpenAI(
        base_url=url, api_key="sk-key", max_retries=0, http_client=openai.DefaultAioHttpClient()
    )
    async with client:
        return await client.chat.completions.create(
            model=request.model,
            messages=[{"role": "user", "content": request.text}],
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=request.sampling.max_tokens,
            seed=request.seed,
            extra_body=request.sampling.extra_body,
        )


def test_the_server_sees_what_the_openai_client_would_send() -> None:
    async def both() -> list[dict[str, Any]]:
        async with listening() as (url, seen):
            await with_ours(url, request_body(REQUEST))
            await with_openai(url, REQUEST)
            return list(seen)

    ours, theirs = asyncio.run(both())
    assert ours == theirs
    assert ours["body"]["seed"] == 42


def test_the_reply_is_what_the_openai_client_reads() -> None:
    async def both() -> tuple[dict[str, Any], Any]:
        async with listening() as (url, _):
            return await with_ours(url, request_body(REQUEST)), await with_openai(url, REQUEST)

    ours, theirs = asyncio.run(both())
    assert to_reply(REQUEST, ours, 0.5) == to_reply(REQUEST, theirs.model_dump(), 0.5)
    assert to_reply(REQUEST, ours, 0.5).reasoning == "because"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_a_status_is_the_same_failure_for_both(status: int) -> None:
    async def both() -> tuple[HttpStatus, openai.APIStatusError]:
        async with listening(status, '{"error": {"message": "no"}}', **{"Retry-After": "7"}) as (url, _):
            with pytest.raises(HttpStatus) as ours:
                await with_ours(url, request_body(REQUEST))
            with pytest.raises(openai.APIStatusError) as theirs:
                await with_openai(url, REQUEST)
            return ours.value, theirs.value

    ours, theirs = asyncio.run(both())
    assert (ours.status, ours.retry_after) == (theirs.status_code, theirs.response.headers["retry-after"])
    assert ours.status == status
    assert "no" in ours.text
    assert "sk-key" not in repr(ours)


@pytest.mark.parametrize(
    ("body", "failure"),
    [("<html>", NoJson), ('{"a": ', NoJson), ("", NoJson), ("[" * 100_000, NoJson), ("[]", BadBody), ("7", BadBody)],
    ids=["html", "cut", "empty", "deep", "list", "number"],
)
def test_a_body_that_is_no_object_is_a_failure_of_its_kind(body: str, failure: type[Failed]) -> None:
    async def ask() -> None:
        async with listening(200, body) as (url, _):
            await with_ours(url, request_body(REQUEST))

    with pytest.raises(failure):
        asyncio.run(ask())


def test_nobody_listening_and_nobody_answering_are_told_apart() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def both() -> tuple[Failed, Failed]:
        with pytest.raises(Unreachable) as nobody:
            await with_ours("http://127.0.0.1:9/v1", request_body(REQUEST))
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Failed) as mute:
                await with_ours(f"http://127.0.0.1:{port}/v1", request_body(REQUEST), timeout_s=0.3)
        return nobody.value, mute.value

    nobody, mute = asyncio.run(both())
    assert (str(nobody), str(mute)) == ("no connection", "timed out")


def test_the_fields_of_extra_body_stand_above_the_others() -> None:
    sampling = REQUEST.sampling.model_copy(update={"extra_body": {"temperature": 1.5, "min_p": 0.1}})
    body = request_body(
        Request(key="k", sample_key="s", teacher="t", step=Step.FULL, model="m", text="x", sampling=sampling)
    )
    assert (body["temperature"], body["min_p"], body["max_tokens"]) == (1.5, 0.1, 7)
