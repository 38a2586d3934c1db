"""The physical limit: an aiohttp loop that posts the requests and throws the replies away."""

from typing import Any

import aiohttp
from arguments import Arguments
from bare_loop import ask_all, timed


async def _ask_all(given: Arguments, bodies: list[dict[str, Any]]) -> int:
    connector = aiohttp.TCPConnector(limit=given.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(body: dict[str, Any]) -> bool:
            async with session.post(f"{given.url}/chat/completions", json=body) as response:
                reply = await response.json()
            return bool(reply["choices"])

        return await ask_all(given, bodies, ask)


if __name__ == "__main__":
    timed(_ask_all)
