"""The endpoints that tell what a repository holds."""

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.hub_server.access import Access, fault
from tests.hub_server.repos import Commit, File, Repo, pointer
from tests.hub_server.storage import ranged

if TYPE_CHECKING:
    from tests.hub_server.server import HubServer

DATE = "2026-01-01T00:00:00.000Z"
"""Of every commit and discussion."""


class Reading:
    """One method an endpoint."""

    def __init__(self, hub: "HubServer", access: Access) -> None:
        self._hub = hub
        self._access = access

    def routes(self, api: str) -> list[web.RouteDef]:
        """Those of a repository; `web.get` answers HEAD as well."""
        may = self._access.reading
        return [
            web.get(api, may(self._info)),
            web.get(api + "/revision/{revision}", may(self._info)),
            web.get(api + "/refs", may(self._refs)),
            web.get(api + "/commits/{revision}", may(self._commits)),
            web.get(api + "/tree/{revision}", may(self._tree)),
            web.get(api + "/tree/{revision}/{path:.*}", may(self._tree)),
            web.post(api + "/paths-info/{revision}", may(self._paths_info)),
            web.get(api + "/discussions", may(self._discussions)),
            web.get("/{kind:datasets}/{owner}/{name}/resolve/{revision}/{path:.+}", may(self._resolve)),
            web.get("/{owner}/{name}/resolve/{revision}/{path:.+}", may(self._resolve)),
        ]

    async def _info(self, request: web.Request, repo: Repo) -> web.Response:
        commit = self._access.at(request, repo)
        return web.json_response(
            {
                "_id": "0",
                "id": repo.name,
                "author": repo.name.partition("/")[0],
                "sha": commit.oid,
                "private": repo.private,
                "gated": repo.gated,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "createdAt": DATE,
                "lastModified": DATE,
                "usedStorage": sum(file.size for file in commit.tree.values()),
                "siblings": [_sibling(p, f, blobs="blobs" in request.query) for p, f in sorted(commit.tree.items())],
            }
        )

    async def _refs(self, request: web.Request, repo: Repo) -> web.Response:
        def listed(refs: dict[str, str], prefix: str) -> list[dict[str, str]]:
            return [{"name": n, "ref": prefix + n, "targetCommit": oid} for n, oid in sorted(refs.items())]

        pulls = {n: oid for n, oid in repo.branches.items() if n.startswith("refs/pr/")}
        branches = {n: oid for n, oid in repo.branches.items() if n not in pulls}
        answer: dict[str, Any] = {
            "branches": listed(branches, "refs/heads/"),
            "tags": listed(repo.tags, "refs/tags/"),
            "converts": [],
        }
        if "include_prs" in request.query:
            answer["pullRequests"] = listed(pulls, "")
        return web.json_response(answer)

    async def _commits(self, request: web.Request, repo: Repo) -> web.Response:
        found, at = [], self._access.at(request, repo)
        while True:
            found.append({"id": at.oid, "title": at.title, "message": "", "date": DATE, "authors": [{"user": "o"}]})
            if at.parent is None:
                return web.json_response(found)
            at = repo.commits[at.parent]

    async def _tree(self, request: web.Request, repo: Repo) -> web.Response:
        commit, folder = self._access.at(request, repo), request.match_info.get("path", "")
        deep, expand = (request.query.get(name, "false").lower() == "true" for name in ("recursive", "expand"))
        entries = _entries(commit, folder, deep=deep, expand=expand)
        if folder and not entries:
            raise fault(404, f"{folder} does not exist on {commit.oid}", "EntryNotFound")
        start = int(request.query.get("cursor", "0"))
        stop = start + self._hub.page
        headers = {}
        if stop < len(entries):
            following = request.url.update_query(cursor=str(stop)).with_scheme("http")
            headers["Link"] = f'<{following}>; rel="next"'
        return web.json_response(entries[start:stop], headers=headers)

    async def _paths_info(self, request: web.Request, repo: Repo) -> web.Response:
        form, commit = await request.post(), self._access.at(request, repo)
        wanted, expand = [str(path) for path in form.getall("paths", [])], form.get("expand") == "true"
        entries = {entry["path"]: entry for entry in _entries(commit, "", deep=True, expand=expand)}
        return web.json_response([entries[path] for path in wanted if path in entries])

    async def _resolve(self, request: web.Request, repo: Repo) -> web.StreamResponse:
        role = self._access.role(request)
        if repo.gated and role not in ("read", "write"):
            raise fault(403 if role else 401, "Access to this repo is restricted", "GatedRepo")
        commit, path = self._access.at(request, repo), request.match_info["path"]
        file = commit.tree.get(path)
        if file is None:
            raise fault(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.oid})
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{file.oid}"', "Content-Disposition": "inline"}
        if not file.lfs:
            return ranged(request, self._hub.blobs[file.sha256], headers)
        location = self._hub.storage.signed(repo, file.sha256)
        linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size), "Location": location}
        return web.Response(status=302, headers=headers | linked)

    async def _discussions(self, request: web.Request, repo: Repo) -> web.Response:
        status = request.query.get("status")
        shown = [p for p in repo.pulls.values() if status in (None, "all", p.status)]
        listed = [
            {
                "num": pull.number,
                "title": pull.title,
                "author": {"name": "o"},
                "createdAt": DATE,
                "status": pull.status,
                "isPullRequest": True,
                "repo": {"name": repo.name, "type": repo.kind},
            }
            for pull in shown
        ]
        return web.json_response({"count": len(listed), "start": 0, "discussions": listed})


def _sibling(path: str, file: File, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    about: dict[str, Any] = {"rfilename": path, "size": file.size, "blobId": file.oid}
    if file.lfs:
        about["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": _pointer_size(file)}
    return about


def _entries(commit: Commit, folder: str, *, deep: bool, expand: bool) -> list[dict[str, Any]]:
    """Files and folders below a folder, as the tree endpoint lists them."""
    more: dict[str, Any] = {"lastCommit": {"id": commit.oid, "title": commit.title, "date": DATE}} if expand else {}
    prefix = folder.rstrip("/") + "/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path, file in commit.tree.items():
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts)):
            name = prefix + "/".join(parts[:depth])
            if deep or depth == 1:
                found[name] = {"type": "directory", "oid": commit.oid, "size": 0, "path": name} | more
        if deep or len(parts) == 1:
            found[path] = _file_entry(path, file) | more
    return [found[name] for name in sorted(found)]


def _file_entry(path: str, file: File) -> dict[str, Any]:
    about: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.lfs:
        about["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": _pointer_size(file)}
    if file.xet_hash:
        about["xetHash"] = file.xet_hash
    return about


def _pointer_size(file: File) -> int:
    return len(pointer(file.sha256, file.size))
