"""A chat-completions server on loopback that answers each request with the hostile output that its text names."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import regex
from aiohttp import web

from safety_reasoning.deploy.hostile import Hostile, Rail, verdict

_CASE = regex.compile(r"verify-case-(\d{4})")


def case_text(number: int) -> str:
    """What a message holds to be answered with the case of that number."""
    return f"verify-case-{number:04}"


@dataclass(slots=True)
class HostileServer:
    """Requests for a model that is not the case's own get a plain harmless verdict, so that rails are tried apart."""

    cases: Mapping[int, tuple[str, Rail, Hostile]]
    """By number: the model that the rail asks, the rail, and what is sent."""
    rails: Mapping[str, Rail]
    """By model, the rail whose harmless verdict it gives to the cases of others."""
    requests: list[tuple[int, dict[str, Any], str]] = field(default_factory=list)
    """Number, body and authorization of each."""
    _runner: web.AppRunner | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> str:
        """Listen on 127.0.0.1; the base URL, up to and with /v1."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def stop(self) -> None:
        """Stop listening; requests that nothing comes to end now."""
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = await request.json()
        found = _CASE.findall(str(body["messages"][-1]["content"]))
        number = int(found[-1]) if found else -1
        self.requests.append((number, body, request.headers.get("Authorization", "")))
        if number not in self.cases:
            return web.json_response({"error": {"message": "no case is named"}}, status=400)
        model, _, case = self.cases[number]
        if model != body["model"]:
            plain = verdict(self.rails[body["model"]], positive=False)
            return _sent(Hostile(name="", content=plain))
        if case.fault is not None:
            return await self._fail(request, case.fault)
        return _sent(case)

    async def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        if fault == "hang":
            await self._over.wait()
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"id": "cut", "choices": [')
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


def _sent(case: Hostile) -> web.Response:
    if case.body is not None:
        return web.Response(text=case.body, status=case.status, content_type="application/json")
    message = {"role": "assistant", "content": case.content} | case.message
    choice = {"index": 0, "message": message, "finish_reason": "length" if case.cut else "stop"}
    completion = {
        "id": "hostile",
        "object": "chat.completion",
        "created": 0,
        "model": "hostile",
        "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
    return web.Response(text=json.dumps(completion), content_type="application/json")  # surrogates stay escaped
