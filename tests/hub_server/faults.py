"""What can go wrong with a request, and which requests it goes wrong with."""

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "reset", "reset_after", "cut_upload", "cut_answer", "hang", "hold", "call", "call_after"]
"""status: that answer instead. reset: the connection breaks before anything is done; reset_after: once it is done.
cut_upload: the connection breaks when half of the body has come. cut_answer: half of the answer is sent.
hang: no answer until the server stops; hold: none until `let_go` is set.
call: run a function in its place; call_after: run one once it is done."""


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong, for the requests that match it, `times` times."""

    kind: Kind
    match: str = ""
    """A regular expression that is looked for in `METHOD /path?query`."""
    at: int | None = None
    """Only this request, counted from 0 since the faults were last set."""
    times: int = 1
    skip: int = 0
    """So many that match go well first."""
    status: int = 500
    body: bytes = b'{"error": "Internal Error - We are working hard to fix this as soon as possible!"}'
    headers: dict[str, str] = field(default_factory=dict)
    run: Callable[[], None] = lambda: None
    hits: int = 0
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when a request met it."""
    let_go: threading.Event = field(default_factory=threading.Event)

    def hit(self, number: int, line: str) -> bool:
        """Whether it goes wrong now; counts."""
        if self.hits >= self.skip + self.times or (self.at is not None and self.at != number):
            return False
        if not re.search(self.match, line):
            return False
        self.hits += 1
        return self.hits > self.skip


@dataclass(slots=True)
class Request:
    """What was asked, as it is kept for tests to look at."""

    number: int
    method: str
    path: str
    query: str
    origin: Literal["hub", "storage"]
    authorized: bool
    """Whether it came with an Authorization header."""
    bytes_in: int = 0
    status: int = 0
    """0 while it is not answered, and if it never was."""

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}" + (f"?{self.query}" if self.query else "")


@dataclass(slots=True)
class Faults:
    """The faults in force, and the requests since they were set."""

    planned: list[Fault] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, number: int, line: str) -> Fault | None:
        """The fault of this request, if it has one."""
        return next((fault for fault in self.planned if fault.hit(number, line)), None)
