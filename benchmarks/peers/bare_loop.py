"""What the two bare loops share: workers over the requests, and the time that they take."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from arguments import Arguments, arguments

Ask = Callable[[dict[str, Any]], Awaitable[bool]]
"""Sends a request and throws the reply away; whether there was one."""


async def ask_all(given: Arguments, bodies: list[dict[str, Any]], ask: Ask) -> int:
    """How many of the requests had a reply."""
    pending = iter(bodies)
    answered = 0

    async def work() -> None:
        nonlocal answered
        for body in pending:
            replied = await ask(body)
            answered += replied

    async with asyncio.TaskGroup() as group:
        for _ in range(given.concurrency):
            group.create_task(work())
    return answered


def timed(ask_with_client: Callable[[Arguments, list[dict[str, Any]]], Awaitable[int]]) -> None:
    """Run it as the command line says; calls and seconds as the last line."""
    given = arguments()
    bodies = list(given.bodies())

    async def whole() -> int:
        return await ask_with_client(given, bodies)

    started = time.monotonic()
    calls = asyncio.run(whole())
    print(json.dumps({"calls": calls, "seconds": time.monotonic() - started}))
