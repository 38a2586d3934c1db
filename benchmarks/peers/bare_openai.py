"""The client library alone: AsyncOpenAI over aiohttp in a loop that throws the replies away."""

import asyncio
import json
import time
from typing import Any

import httpx2
import openai
from arguments import Arguments, arguments


async def _ask_all(given: Arguments, bodies: list[dict[str, Any]]) -> int:
    pending = iter(bodies)
    answered = 0
    limits = httpx2.Limits(max_connections=given.concurrency, max_keepalive_connections=given.concurrency)
    http_client = openai.DefaultAioHttpClient(limits=limits)
    client = openai.AsyncOpenAI(base_url=given.url, api_key="none", max_retries=0, http_client=http_client)

    async def work() -> None:
        nonlocal answered
        for body in pending:
            reply = await client.chat.completions.create(**body)
            answered += bool(reply.choices)

    async with client, asyncio.TaskGroup() as group:
        for _ in range(given.concurrency):
            group.create_task(work())
    return answered


if __name__ == "__main__":
    wanted = arguments()
    wanted_bodies = list(wanted.bodies())
    started = time.monotonic()
    calls = asyncio.run(_ask_all(wanted, wanted_bodies))
    print(json.dumps({"calls": calls, "seconds": time.monotonic() - started}))
