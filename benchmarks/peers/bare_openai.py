"""The client library alone: AsyncOpenAI over aiohttp in a loop that throws the replies away."""

from typing import Any

import httpx2
import openai
from arguments import Arguments
from bare_loop import ask_all, timed


async def _ask_all(given: Arguments, bodies: list[dict[str, Any]]) -> int:
    limits = httpx2.Limits(max_connections=given.concurrency, max_keepalive_connections=given.concurrency)
    http_client = openai.DefaultAioHttpClient(limits=limits)
    client = openai.AsyncOpenAI(base_url=given.url, api_key="none", max_retries=0, http_client=http_client)

    async def ask(body: dict[str, Any]) -> bool:
        reply = await client.chat.completions.create(**body)
        return bool(reply.choices)

    async with client:
        return await ask_all(given, bodies, ask)


if __name__ == "__main__":
    timed(_ask_all)
