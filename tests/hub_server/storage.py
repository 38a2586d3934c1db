"""The storage behind LFS: another origin, that takes and gives only what a signed address allows."""

import hashlib
import secrets
from typing import Any

from aiohttp import web

from tests.hub_server.repos import Blobs, Repo


class Storage:
    """Takes uploads, whole or in parts, and gives files by their sha256."""

    def __init__(self, blobs: Blobs, multipart_over: int) -> None:
        self.url = ""
        self._blobs = blobs
        self._part_size = multipart_over
        self._signed: dict[tuple[str, str], Repo] = {}
        self._parts: dict[tuple[str, str], dict[int, bytes]] = {}

    def routes(self) -> list[web.RouteDef]:
        """What it answers to."""
        path = "/{owner}/{name}/{sha256}"
        return [
            web.put(path, self._put),
            web.put(path + "/{part}", self._put_part),
            web.post(path + "/complete", self._complete),
            web.get(path, self._get),
        ]

    def signed(self, repo: Repo, path: str) -> str:
        """An address that works for this path of this repository alone."""
        whole, signature = f"/{repo.name}/{path}", secrets.token_hex(16)
        self._signed[whole, signature] = repo
        return f"{self.url}{whole}?X-Amz-Signature={signature}"

    def upload_action(self, repo: Repo, sha256: str, size: int) -> dict[str, Any]:
        """Where and how to send a file, as a batch answer says it."""
        if size <= self._part_size:
            return {"href": self.signed(repo, sha256), "header": {}}
        count = -(-size // self._part_size)
        parts = {str(number): self.signed(repo, f"{sha256}/{number}") for number in range(1, count + 1)}
        return {
            "href": self.signed(repo, f"{sha256}/complete"),
            "header": {"chunk_size": str(self._part_size)} | parts,
        }

    def _allowed(self, request: web.Request) -> Repo:
        repo = self._signed.get((request.path, request.query.get("X-Amz-Signature", "")))
        if repo is None:
            raise web.HTTPForbidden(text="<Error><Code>SignatureDoesNotMatch</Code></Error>")
        return repo

    async def _put(self, request: web.Request) -> web.Response:
        return self._keep(self._allowed(request), request.match_info["sha256"], await request.read())

    def _keep(self, repo: Repo, sha256: str, content: bytes) -> web.Response:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise web.HTTPBadRequest(text="<Error><Code>XAmzContentSHA256Mismatch</Code></Error>")
        self._blobs.add(content)
        repo.objects.add(sha256)
        return web.Response(headers={"ETag": _etag(content)})

    async def _put_part(self, request: web.Request) -> web.Response:
        repo, content = self._allowed(request), await request.read()
        parts = self._parts.setdefault((repo.name, request.match_info["sha256"]), {})
        parts[int(request.match_info["part"])] = content
        return web.Response(headers={"ETag": _etag(content)})

    async def _complete(self, request: web.Request) -> web.Response:
        repo, sha256, asked = self._allowed(request), request.match_info["sha256"], await request.json()
        parts = [part for _, part in sorted(self._parts.get((repo.name, sha256), {}).items())]
        if [part["etag"] for part in asked["parts"]] != [_etag(part) for part in parts]:
            raise web.HTTPBadRequest(text="<Error><Code>InvalidPart</Code></Error>")
        return self._keep(repo, sha256, b"".join(parts))

    async def _get(self, request: web.Request) -> web.Response:
        self._allowed(request)
        return ranged(request, self._blobs[request.match_info["sha256"]], {})


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def ranged(request: web.Request, content: bytes, headers: dict[str, str]) -> web.Response:
    """The content, or the part of it that a Range header asks for."""
    wanted = request.http_range
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=content, headers=headers | {"Accept-Ranges": "bytes"})
    start, stop, _ = wanted.indices(len(content))
    if start >= len(content):
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{len(content)}"})
    about = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}", "Accept-Ranges": "bytes"}
    return web.Response(status=206, body=content[start:stop], headers=headers | about)
