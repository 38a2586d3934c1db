"""A read-only Hub on loopback: what `snapshot_download` and `load_dataset` ask of the real one, from a folder."""

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any

from aiohttp import web

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer:
    """Serves one dataset repository, `o/n`, at one commit that `main` and the tag `v1` name."""

    def __init__(self, folder: Path, *, token: str = "", gated: bool = False) -> None:
        self._folder, self._token, self._gated = folder, token, gated
        self.paths: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.url = str(asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(timeout=10))

    async def _start(self) -> str:
        app = web.Application(middlewares=[self._gate])
        app.router.add_get("/api/datasets/o/n/revision/{revision}", self._info)
        app.router.add_get("/api/datasets/o/n/tree/{revision}{path:.*}", self._tree)
        app.router.add_get("/datasets/o/n/resolve/{revision}/{path:.+}", self._resolve)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.paths.append(request.path)
        if request.match_info.get("revision", "main") not in {"main", "v1", COMMIT}:
            return web.json_response({"error": "x"}, status=404, headers={"X-Error-Code": "RevisionNotFound"})
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            code = "GatedRepo" if self._gated else "RepoNotFound"
            return web.json_response({"error": "x"}, status=401, headers={"X-Error-Code": code})
        answer: web.StreamResponse = await handler(request)
        return answer

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.rglob("*") if path.is_file())

    async def _info(self, request: web.Request) -> web.Response:
        siblings = [{"rfilename": path.relative_to(self._folder).as_posix()} for path in self._files()]
        return web.json_response(
            {"id": "o/n", "sha": COMMIT, "private": False, "downloads": 0, "tags": [], "siblings": siblings}
        )

    async def _tree(self, request: web.Request) -> web.Response:
        files = [
            {
                "type": "file",
                "path": path.relative_to(self._folder).as_posix(),
                "size": path.stat().st_size,
                "oid": _etag(path),
            }
            for path in self._files()
        ]
        return web.json_response(files)

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        path = self._folder / request.match_info["path"]
        if not path.is_file():
            return web.json_response({"error": "x"}, status=404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_etag(path)}"'}
        return web.Response(body=path.read_bytes(), headers=headers)


def _etag(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
