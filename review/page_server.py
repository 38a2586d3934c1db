"""The page's server: on loopback alone, for the browser tab that was given its address and for nobody else.

Any web page that is open in the same browser can send requests to 127.0.0.1, and so can every other user of the
machine. Three things keep them out:

- The secret of the run. It stands in the address after `#`, which browsers neither send nor put into a Referer, and
  comes back in a header of its own, which a page of another origin cannot set without leave that is never given.
- The Host header must name this machine, so a foreign name that is made to resolve to 127.0.0.1 gets nothing.
- The Origin of a mark must be the page itself.
"""

import asyncio
import hmac
import time
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ConfigDict, Field

from safety_reasoning.errors import UsageError
from safety_reasoning.review import page
from safety_reasoning.review.marks import KEYS, Findings, Mark, standing
from safety_reasoning.review.marks_store import MarkStore
from safety_reasoning.review.sample import Drawn

Shown = Literal["never", "after", "at_once"]
"""When a reviewer is shown what the filters and the judge found: never, after marking the trace, or at once."""

_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FILES = {f"/{path.name}": path for path in (Path(__file__).parent / "page").iterdir()}
_FILES["/"] = _FILES.pop("/index.html")
_OURS = {"127.0.0.1", "localhost"}
"""Names under which the page may be asked for; the port may be that of a tunnel."""
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MOST_BYTES = 256 * 1024
"""Of a mark as it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What one server serves."""

    title: str
    traces: Mapping[str, Drawn]
    """By key, in the order in which they are read."""
    marks: MarkStore
    shown: Shown
    secret: str


class _Given(BaseModel):
    """A mark as the page sends it."""

    model_config = ConfigDict(extra="forbid")

    reviewer: str
    key: str
    modes: tuple[str, ...] | None
    note: Annotated[str, Field(max_length=10_000)]


def application(session: Session) -> web.Application:
    """The page and what it asks for."""
    app = web.Application(middlewares=[_guard(session.secret)], client_max_size=_MOST_BYTES)
    api = _Api(session)
    app.router.add_get("/api/queue", api.queue)
    app.router.add_get("/api/traces/{key}", api.trace)
    app.router.add_get("/api/findings/{key}", api.findings)
    app.router.add_post("/api/marks", api.mark)
    for path in _FILES:
        app.router.add_get(path, _file)
    return app


def _guard(secret: str) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _refuse_strangers(request, secret)
            response = await handler(request)
        except web.HTTPException as error:
            response = _problem(error.status, error.text or error.reason)
        response.headers.update(_HEADERS)
        return response

    return guard


def _refuse_strangers(request: web.Request, secret: str) -> None:
    if request.url.host not in _OURS:
        raise web.HTTPForbidden(text="this server answers to 127.0.0.1 and localhost only")
    if request.headers.get("Origin", f"http://{request.host}") != f"http://{request.host}":
        raise web.HTTPForbidden(text="requests from other pages are refused")
    given = request.headers.get("X-Review-Secret", "").encode("utf-8", "surrogateescape")
    if request.path not in _FILES and not hmac.compare_digest(given, secret.encode()):
        raise web.HTTPForbidden(text="the server was started anew: open the address that it shows now")


def _problem(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)


async def _file(request: web.Request) -> web.Response:
    path = _FILES[request.path]
    return web.Response(body=path.read_bytes(), content_type=_KINDS[path.suffix], charset="utf-8")


class _Api:
    """The handlers; each runs its work on the store's file in a thread, so that one reviewer does not stop another."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def queue(self, request: web.Request) -> web.Response:
        """The sample, and what the reviewer has marked of it."""
        marks = await self._marks_of(reviewer_name(request.query.get("reviewer", "")))
        ours = (mark for mark in standing(marks) if mark.key in self._session.traces)
        document = {
            "title": self._session.title,
            "shown": self._session.shown,
            "modes": page.modes(),
            "keys": list(self._session.traces),
            "marks": {mark.key: page.mark(mark) for mark in ours},
        }
        return web.json_response(document)

    async def trace(self, request: web.Request) -> web.Response:
        """The case and the trace, without the findings."""
        return web.json_response(page.case(self._drawn(request.match_info["key"])))

    async def findings(self, request: web.Request) -> web.Response:
        """What the filters and the judge found, for whoever may know it."""
        drawn = self._drawn(request.match_info["key"])
        marks = await self._marks_of(reviewer_name(request.query.get("reviewer", "")))
        marked = any(mark.key == drawn.key for mark in marks)
        if self._session.shown == "never" or (self._session.shown == "after" and not marked):
            raise web.HTTPForbidden(text="the findings are not shown, or not before the trace is marked")
        return web.json_response(page.findings(drawn))

    async def mark(self, request: web.Request) -> web.Response:
        """Save a mark; answered only once it is on disk."""
        try:
            given = _Given.model_validate_json(await request.read())
        except pydantic.ValidationError as error:
            return _problem(400, "; ".join(item["msg"] for item in error.errors(include_input=False)))
        try:
            await asyncio.to_thread(self._save, given)
        except UsageError as error:
            return _problem(503, f"{error.what}: {error.why}")
        return web.json_response({"saved": True})

    def _save(self, given: _Given) -> None:
        drawn, reviewer = self._drawn(given.key), reviewer_name(given.reviewer)
        earlier = [mark for mark in self._session.marks.of(reviewer) if mark.key == given.key]
        modes = None if given.modes is None else in_order(given.modes)
        if earlier and (earlier[-1].modes, earlier[-1].note) == (modes, given.note):
            return  # sent again, since the first answer did not arrive
        self._session.marks.save(
            Mark(
                reviewer=reviewer,
                key=given.key,
                sample_key=drawn.tried.sample.key,
                modes=modes,
                note=given.note,
                marked_at=time.time(),
                findings=_known(self._session.shown, earlier),
                stratum=drawn.stratum,
                size=drawn.size,
                drawn=drawn.drawn,
            )
        )

    async def _marks_of(self, reviewer: str) -> list[Mark]:
        try:
            return await asyncio.to_thread(self._session.marks.of, reviewer)
        except UsageError as error:
            raise web.HTTPServiceUnavailable(text=f"{error.what}: {error.why}") from error

    def _drawn(self, key: str) -> Drawn:
        if key not in self._session.traces:
            raise web.HTTPNotFound(text="that trace is not in this sample")
        return self._session.traces[key]


def reviewer_name(given: str) -> str:
    """A reviewer's name, so written that two spellings of it are one reviewer.

    Raises: HTTPBadRequest if it is empty, longer than 64 characters or holds characters that do not print.
    """
    name = unicodedata.normalize("NFC", " ".join(given.split()))
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise web.HTTPBadRequest(text="a reviewer's name has 1 to 64 printable characters")
    return name


def in_order(modes: tuple[str, ...]) -> tuple[str, ...]:
    """The modes, each once, in the order of the page.

    Raises: HTTPBadRequest if one is unknown.
    """
    if not set(modes) <= set(KEYS):
        raise web.HTTPBadRequest(text="an unknown failure mode")
    return tuple(mode for mode in KEYS if mode in modes)


def _known(shown: Shown, earlier: list[Mark]) -> Findings:
    """What the reviewer knows of the findings when marking a trace that they marked so before."""
    if shown == "at_once" or any(mark.findings is not Findings.HIDDEN for mark in earlier):
        return Findings.SEEN
    return Findings.HIDDEN if shown == "never" else Findings.LATER
