"""What every script here is told; it prints {"calls": replies, "seconds": seconds} as its last line.

The requests are read one by one, so that a peer's memory is its own.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Arguments:
    """The same requests for everyone."""

    url: str
    """Of the server, up to and with /v1."""
    requests: Path
    """Bodies of chat-completions requests, one a line: one user message and the sampling parameters."""
    calls: int
    """The first so many of them."""
    concurrency: int
    """Requests in flight."""
    out: Path
    """A folder for whatever the library writes."""

    def bodies(self) -> Iterator[dict[str, Any]]:
        """The requests."""
        with self.requests.open(encoding="utf-8") as file:
            for line in islice(file, self.calls):
                yield json.loads(line)

    def prompts(self) -> Iterator[str]:
        """Their user messages."""
        for body in self.bodies():
            yield body["messages"][0]["content"]

    def sampling(self) -> dict[str, Any]:
        """The model and the sampling parameters, which all requests share but for the token limit."""
        return next(self.bodies())


def arguments() -> Arguments:
    """From the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="one JSON document a line")
    parser.add_argument("--calls", type=int, required=True, help="the first so many of them")
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    return Arguments(given.url, given.bodies, given.calls, given.concurrency, given.out)
