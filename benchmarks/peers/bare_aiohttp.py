"""The physical limit: an aiohttp loop that posts the requests and throws the replies away."""

import asyncio
import json
import time
from typing import Any

import aiohttp
from arguments import Arguments, arguments


async def _ask_all(given: Arguments, bodies: list[dict[str, Any]]) -> int:
    pending = iter(bodies)
    answered = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal answered
        for body in pending:
            async with session.post(f"{given.url}/chat/completions", json=body) as response:
                reply = await response.json()
            answered += bool(reply["choices"])

    connector = aiohttp.TCPConnector(limit=given.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(given.concurrency):
            group.create_task(work(session))
    return answered


if __name__ == "__main__":
    wanted = arguments()
    wanted_bodies = list(wanted.bodies())
    started = time.monotonic()
    calls = asyncio.run(_ask_all(wanted, wanted_bodies))
    print(json.dumps({"calls": calls, "seconds": time.monotonic() - started}))
