"""The server: its two origins (the Hub and its storage), its thread, its faults and its memory of requests."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.hub_server.api import Api
from tests.hub_server.faults import Fault, Faults, Request
from tests.hub_server.repos import GITATTRIBUTES, INITIAL_FILE, Blobs, Repo
from tests.hub_server.storage import Storage
from tests.hub_server.xet import XetStore

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
WRITE_TOKEN, READ_TOKEN = "hf_write_" + "w" * 25, "hf_read_" + "r" * 26
"""Made up in the form of real ones; the first may write to `o/` and read, the second may read alone."""


class HubServer:
    """A Hub on loopback, in a thread of its own; a context manager.

    `multipart_over` is the size in bytes above which LFS uploads come in parts; `xet` is the folder of a Xet store,
    without which uploads are told to use LFS; `page` is how many files one page of a tree lists.
    """

    def __init__(self, *, multipart_over: int = 5_000_000_000, xet: Path | None = None, page: int = 1000) -> None:
        self.blobs = Blobs()
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: list[Request] = []
        self.faults = Faults()
        self.page = page
        self.tokens = {WRITE_TOKEN: "write", READ_TOKEN: "read"}
        self.xet = None if xet is None else XetStore(xet)
        self.storage = Storage(self.blobs, multipart_over)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runners: list[web.AppRunner] = []
        self._first = 0
        self.storage.url = self._call(self._serve(self.storage.routes(), "storage"))
        self.url = self._call(self._serve(Api(self).routes(), "hub"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let go of what hangs, and end the thread."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def repo(self, name: str = "o/n", kind: str = "dataset") -> Repo:
        """A repository; KeyError if there is none."""
        return self.repos[kind, name]

    def add_repo(self, name: str = "o/n", kind: str = "dataset", *, folder: Path | None = None, **more: Any) -> Repo:
        """Make a repository as the Hub does, with its first commit, and perhaps one of a folder's files."""
        repo = self.repos[kind, name] = Repo(kind, name, **more)
        tree = {INITIAL_FILE: self.blobs.add(GITATTRIBUTES)}
        first = repo.commit("main", tree, "initial commit", parent=None)
        if folder is not None:
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            names = {path.relative_to(folder).as_posix(): path for path in paths}
            files = {name: self.blobs.add(path.read_bytes(), name) for name, path in names.items()}
            repo.objects.update(file.sha256 for file in files.values() if file.lfs)
            repo.commit("main", tree | files, "Upload", parent=first.oid)
        return repo

    def files(self, revision: str = "main", name: str = "o/n", kind: str = "dataset") -> dict[str, bytes]:
        """Every file of a revision with its content."""
        commit = self.repos[kind, name].resolve(revision)
        if commit is None:
            raise KeyError(revision)
        return {path: self.blobs[file.sha256] for path, file in sorted(commit.tree.items())}

    def plan(self, *faults: Fault) -> None:
        """Let these go wrong from now on, and no others; requests count from 0 again."""
        self.faults.planned = list(faults)
        self._first = len(self.requests)

    def since(self) -> list[Request]:
        """The requests since the faults were last set."""
        return self.requests[self._first :]

    def uploaded_bytes(self) -> int:
        """Bytes of files that clients have sent since the faults were last set: to storage, and within commits."""
        return sum(r.bytes_in for r in self.since() if r.origin == "storage" or "/commit/" in r.path)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    async def _serve(self, routes: list[web.RouteDef], origin: str) -> str:
        app = web.Application(middlewares=[self._middleware(origin)], client_max_size=1 << 40)
        app.add_routes(routes)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self._runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def _stop(self) -> None:
        self.faults.released.set()
        for runner in self._runners:
            await runner.cleanup()

    def _middleware(self, origin: Any) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            kept = Request(
                len(self.requests) - self._first,
                request.method,
                request.path,
                request.query_string,
                origin,
                "Authorization" in request.headers,
            )
            self.requests.append(kept)
            fault = self.faults.of(kept.number, kept.line)
            try:
                answer = await self._answer(request, handler, fault, kept)
            except web.HTTPException as refused:
                kept.status = refused.status
                raise
            except ConnectionResetError:  # the client is gone
                return _abort(request)
            kept.status = answer.status
            return answer

        return middleware

    async def _answer(
        self, request: web.Request, handler: Handler, fault: Fault | None, kept: Request
    ) -> web.StreamResponse:
        kind = fault.kind if fault else None
        if fault:
            fault.reached.set()
        if kind == "cut_upload":
            await request.content.readany()
        if fault and kind == "call":
            fault.run()
        if kind in ("reset", "cut_upload", "call"):
            return _abort(request)
        if kind == "hang":
            await self.faults.released.wait()
            return _abort(request)
        if fault and kind == "hold":
            await asyncio.to_thread(fault.let_go.wait, 60)
        kept.bytes_in = len(await request.read())
        if fault and kind == "status":
            return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
        answer = await handler(request)
        if fault and kind == "call_after":
            fault.run()
        if kind == "reset_after":
            return _abort(request)
        if kind == "cut_answer" and isinstance(answer, web.Response):
            return await _cut(request, answer)
        return answer


def _abort(request: web.Request) -> web.Response:
    """Break the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=599)


async def _cut(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Promise the whole answer, send half of it and break the connection."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    half = web.StreamResponse(status=answer.status, headers=answer.headers)
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    _abort(request)
    return half
