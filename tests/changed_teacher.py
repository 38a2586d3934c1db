"""A scripted teacher whose answers a test changes, and runs that are asked of it."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from safety_reasoning.builders.ask import ask_teachers
from safety_reasoning.builders.calls import Reply
from safety_reasoning.builders.ledger import Ledger
from safety_reasoning.builders.progress import Silent
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.builders.store import view_store
from safety_reasoning.builders.teachers.server import Script, TeacherServer
from safety_reasoning.errors import Stopped
from tests.conftest import (
    LiveTeacher,
    aegis_row,
    openai_teacher,
    write_aegis,
    write_recipe,
)

Start = Callable[..., LiveTeacher]
Change = Callable[[dict[str, Any], dict[str, Any]], None]
WHY = "It asks about an ordinary thing, and nobody is harmed by it."
LONGER = {"max_tokens": 50, "retry_max_tokens": 200}
DEAD = "http://127.0.0.1:9/v1"


class ChangedServer(TeacherServer):
    """A scripted teacher that remembers what it was sent and when, and changes its whole answers."""

    def __init__(self, change: Change, **script: Any) -> None:
        super().__init__(Script(**script))
        self.change = change
        self.bodies: list[dict[str, Any]] = []
        self.seen_s: list[float] = []
        self.held = self.most_held = 0

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.seen_s.append(time.monotonic())
        self.held += 1
        self.most_held = max(self.held, self.most_held)
        try:
            response = await super()._complete(request)
        finally:
            self.held -= 1
        if not isinstance(response, web.Response) or response.status != 200:
            return response
        completion = json.loads(response.text or "")
        self.change(body, completion)
        return web.json_response(completion)


class ChangedTeacher(LiveTeacher):
    server: ChangedServer

    def __init__(self, server: ChangedServer) -> None:
        self.server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = self._call(self.server.start())


@contextmanager
def changed(change: Change, **script: Any) -> Iterator[ChangedTeacher]:
    live = ChangedTeacher(ChangedServer(change, **script))
    try:
        yield live
    finally:
        live.stop()


def as_it_is(body: dict[str, Any], completion: dict[str, Any]) -> None:
    """No change."""


def is_rewrite(body: dict[str, Any]) -> bool:
    return "one sentence" in body["messages"][-1]["content"]


def short_of(limit: int, *, rewrites: bool = True, others: bool = True) -> Change:
    """Answers with a lower token limit are truncated."""

    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        if body["max_tokens"] < limit and (rewrites if is_rewrite(body) else others):
            completion["choices"][0]["finish_reason"] = "length"
            completion["choices"][0]["message"]["content"] = "Prompt ha"

    return change


def recipe(
    folder: Path, *teachers: dict[str, Any], rows: int = 20, budget: dict[str, float] | None = None, **release: Any
) -> Path:
    aegis = write_aegis(folder / "aegis", [aegis_row(prompt=f"prompt {n}") for n in range(rows)])
    path = write_recipe(
        folder / "recipe.toml", sources=[{"kind": "aegis", "path": aegis}], teachers=list(teachers), **release
    )
    limits = "".join(f"{name} = {limit}\n" for name, limit in (budget or {}).items())
    path.write_text(f"{path.read_text(encoding='utf-8')}\n[budget]\n{limits}", encoding="utf-8")
    return path


def one(live: LiveTeacher | str, **changes: Any) -> dict[str, Any]:
    return openai_teacher("a", live if isinstance(live, str) else live.url, **changes)


def asked(path: Path) -> Ledger:
    """The ledger of a run that comes to its end."""
    ledger = Ledger()
    ask_teachers(load_recipe(path), Silent(), ledger)
    return ledger


def stopped(path: Path) -> tuple[Ledger, str]:
    """The ledger of a run that stops early, and what it says."""
    ledger = Ledger()
    with pytest.raises(Stopped) as stop:
        ask_teachers(load_recipe(path), Silent(), ledger)
    return ledger, str(stop.value)


def kept(folder: Path) -> list[Reply]:
    with view_store(folder / "store.sqlite") as store:
        return list(store)


def assert_whole(ledger: Ledger) -> None:
    """Every line of the ledger is done, to the call."""
    for line in ledger.summary()["lines"]:  # type: ignore[attr-defined]  # a list, as JSON has it
        assert (line["left"], line["total"]) == (0, line["before"] + line["replies"]), line
