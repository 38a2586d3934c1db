"""The scripted teacher as a process of its own that can be asked what it saw.

It is what `safety-reasoning teacher-server` serves. Its first line on stdout is the base URL; each line on
stdin is a command, answered with one line: `stats`, `reset`, or `bodies PATH` (the requests since the last
reset, if it was started to keep them). It ends when stdin does.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from safety_reasoning.builders.teachers.server import Script, TeacherServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the server saw since it was started or reset."""

    calls: int = 0
    answered: int = 0
    """Whole answers."""
    repeated: int = 0
    """Whole answers beyond the first to the same request."""
    window_s: float = 0.0
    """From the first request to the last reply."""
    most_in_flight: int = 0
    cpu_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    longest_chain_s: float = 0.0
    """The longest time that faults cost one request: their own delays and what Retry-After asked for."""


class Teacher:
    """The running process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = self._line()

    def stats(self) -> Seen:
        """What it saw so far."""
        return Seen(**json.loads(self._ask("stats")))

    def settled(self) -> Seen:
        """What it saw, once it has nothing left to answer."""
        while True:
            seen = self.stats()
            if seen.calls == seen.answered + sum(seen.faults.values()):
                return seen
            time.sleep(0.02)

    def reset(self) -> None:
        """Begin to count afresh."""
        self._ask("reset")

    def bodies(self, path: Path) -> None:
        """Write the requests that it kept, one JSON document a line."""
        self._ask(f"bodies {path}")

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None  # noqa: S101  # for the type checker: it is a pipe
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101  # likewise
        return self._process.stdout.readline().strip()


@contextmanager
def serving(*, keep: bool = False, **script: Any) -> Iterator[Teacher]:
    """A scripted teacher in a process of its own; fields of `Script`. With `keep` it remembers the requests."""
    command = [sys.executable, __file__, json.dumps(asdict(Script(**script))), json.dumps(keep)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Teacher(process)
    finally:
        process.communicate()


@dataclass
class _Counting(TeacherServer):
    """The scripted teacher, and what it saw."""

    keep: bool = False
    kept: list[Any] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    chains: Counter[str] = field(default_factory=Counter)
    first: float | None = None
    last: float = 0.0
    in_flight: int = 0
    most_in_flight: int = 0
    cpu_before: float = 0.0

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if self.first is None:
            self.first = time.monotonic()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.keep:
                self.kept.append(await request.json())
            return await super()._complete(request)
        except IndexError:  # curator begins with a request without messages, to read rate limits off its headers
            self.calls, self.first = 0, None
            return web.json_response({"error": {"message": "no messages"}}, status=400)
        finally:
            self.in_flight -= 1
            self.last = time.monotonic()

    def _fault(self, seed: str) -> str | None:
        fault = super()._fault(seed)
        if fault is not None:
            self.faults[fault] += 1
            asked_for = self.script.retry_after_s if fault == "busy" else 0.0
            self.chains[seed.split()[0]] += self.script.delay_s + asked_for  # type: ignore[assignment]
        return fault

    def seen(self) -> Seen:
        return Seen(
            calls=self.calls,
            answered=self.answered.total(),
            repeated=self.answered.total() - len(self.answered),
            window_s=0.0 if self.first is None else self.last - self.first,
            most_in_flight=self.most_in_flight,
            cpu_s=time.process_time() - self.cpu_before,
            faults=dict(self.faults),
            longest_chain_s=max(self.chains.values(), default=0.0),
        )

    def obey(self, line: str) -> str:
        """Carry out a command; the line to answer."""
        command, _, path = line.strip().partition(" ")
        if command == "stats":
            return json.dumps(asdict(self.seen()))
        if command == "bodies":
            Path(path).write_text("".join(json.dumps(body) + "\n" for body in self.kept), encoding="utf-8")
            return "written"
        self.calls = self.most_in_flight = 0
        self.first, self.cpu_before = None, time.process_time()
        for counter in (self.answered, self._asked, self.faults, self.chains, self.kept):
            counter.clear()
        return "reset"


async def _serve(script: Script, keep: bool) -> None:
    server = _Counting(script=script, keep=keep)
    print(await server.start(), flush=True)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(server.obey(line.decode()), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Script(**json.loads(sys.argv[1])), json.loads(sys.argv[2])))
