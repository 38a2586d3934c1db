"""The endpoints that change a repository, or prepare to."""

import base64
import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.hub_server.access import Access, fault
from tests.hub_server.card import card_errors
from tests.hub_server.repos import REGULAR_LIMIT, Commit, File, Pull, Repo, upload_mode

if TYPE_CHECKING:
    from tests.hub_server.server import HubServer


class Writing:
    """One method an endpoint."""

    def __init__(self, hub: "HubServer", access: Access) -> None:
        self._hub = hub
        self._access = access

    def routes(self, api: str) -> list[web.RouteDef]:
        """Those of a repository."""
        may = self._access.writing
        lfs = "{owner}/{name}.git/info/lfs/objects"
        return [
            web.put(api + "/settings", may(self._settings)),
            web.post(api + "/branch/{branch}", may(self._branch)),
            web.post(api + "/tag/{revision}", may(self._tag)),
            web.post(api + "/preupload/{revision}", may(self._preupload)),
            web.post(api + "/commit/{revision}", may(self._commit)),
            web.get(api + "/xet-{access:read|write}-token/{revision}", self._access.reading(self._xet_token)),
            *(web.post(f"{place}{lfs}/batch", may(self._batch)) for place in ("/{kind:datasets}/", "/")),
            *(web.post(f"{place}{lfs}/verify", may(self._verify)) for place in ("/{kind:datasets}/", "/")),
        ]

    async def _settings(self, request: web.Request, repo: Repo) -> web.Response:
        asked = await request.json()
        repo.gated = asked.get("gated", repo.gated)
        repo.private = asked.get("visibility", "private" if repo.private else "public") == "private"
        return web.json_response({"gated": repo.gated, "private": repo.private})

    async def _branch(self, request: web.Request, repo: Repo) -> web.Response:
        asked = json.loads(await request.read() or b"{}")
        branch, start = request.match_info["branch"], repo.resolve(asked.get("startingPoint", "main"))
        if branch in repo.branches:
            raise fault(409, "Reference already exists")
        if start is None:
            raise fault(404, "Invalid rev id", "RevisionNotFound")
        repo.move(branch, start.oid)
        return web.json_response({})

    async def _tag(self, request: web.Request, repo: Repo) -> web.Response:
        tag, commit = (await request.json())["tag"], self._access.at(request, repo)
        if tag in repo.tags:
            raise fault(409, "Tag reference exists already")
        repo.tags[tag] = commit.oid
        return web.json_response({})

    async def _preupload(self, request: web.Request, repo: Repo) -> web.Response:
        asked, tree = await request.json(), self._access.at(request, repo).tree
        answers = []
        for file in asked["files"]:
            mode = upload_mode(file["path"], file["size"], base64.b64decode(file["sample"]))
            there = tree.get(file["path"])
            oid = None if there is None else there.sha256 if there.lfs else there.oid
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return web.json_response({"files": answers})

    async def _batch(self, request: web.Request, repo: Repo) -> web.Response:
        asked, prefix = await request.json(), request.path.removesuffix("/batch")
        objects = []
        for item in asked["objects"]:
            answer = {"oid": item["oid"], "size": item["size"]}
            if not self._there(repo, item["oid"]):
                upload = self._hub.storage.upload_action(repo, item["oid"], item["size"])
                verify = {"href": f"{self._hub.url}{prefix}/verify", "header": {}}
                answer["actions"] = {"upload": upload, "verify": verify}
            objects.append(answer)
        return web.json_response({"transfer": "basic", "objects": objects, "hash_algo": "sha256"})

    async def _verify(self, request: web.Request, repo: Repo) -> web.Response:
        asked = await request.json()
        if not self._there(repo, asked["oid"]) or len(self._hub.blobs[asked["oid"]]) != asked["size"]:
            raise fault(404, "The object was not uploaded")
        return web.json_response({})

    def _there(self, repo: Repo, sha256: str) -> bool:
        """Whether the content was uploaded, to the storage or as chunks to the Xet store."""
        if sha256 in repo.objects:
            return True
        return self._hub.xet is not None and self._hub.xet.hash_of(sha256) is not None

    async def _commit(self, request: web.Request, repo: Repo) -> web.Response:
        lines = [json.loads(line) for line in (await request.read()).splitlines() if line.strip()]
        header = lines[0]["value"]
        branch, at = request.match_info["revision"], self._access.at(request, repo)
        as_pull = request.query.get("create_pr") == "1"
        if branch not in repo.branches:
            raise fault(404, "Invalid rev id", "RevisionNotFound")
        if not as_pull and not at.oid.startswith(header.get("parentCommit") or at.oid):
            raise fault(412, "A commit has happened since. Please refresh and try again.")
        base = repo.resolve(header["parentCommit"]) if as_pull and header.get("parentCommit") else at
        if base is None:
            raise fault(404, "Invalid rev id", "RevisionNotFound")
        tree = dict(base.tree)
        for line in lines[1:]:
            self._apply(repo, tree, line["key"], line["value"])
        if as_pull:
            return self._open_pull(repo, branch, base, tree, header["summary"])
        made = repo.commit(branch, tree, header["summary"], parent=base.oid)
        return web.json_response(self._committed(repo, made))

    def _committed(self, repo: Repo, commit: Commit) -> dict[str, Any]:
        place = f"{self._hub.url}/{'datasets/' if repo.kind == 'dataset' else ''}{repo.name}"
        return {
            "success": True,
            "commitOid": commit.oid,
            "commitUrl": f"{place}/commit/{commit.oid}",
            "hookOutput": "",
        }

    def _open_pull(self, repo: Repo, branch: str, base: Commit, tree: dict[str, File], title: str) -> web.Response:
        number = len(repo.pulls) + 1
        repo.pulls[number] = Pull(number, branch, title)
        made = repo.commit(f"refs/pr/{number}", tree, title, parent=base.oid)
        answer = self._committed(repo, made)
        url = f"{answer['commitUrl'].rpartition('/commit/')[0]}/discussions/{number}"
        return web.json_response(answer | {"pullRequestUrl": url})

    def _apply(self, repo: Repo, tree: dict[str, File], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "deletedFolder":
            for name in [name for name in tree if name.startswith(path.rstrip("/") + "/")]:
                del tree[name]
        elif key == "deletedFile":
            if path not in tree:
                raise fault(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
            del tree[path]
        elif key == "lfsFile":
            tree[path] = self._lfs_file(repo, value["oid"], value["size"])
        else:
            tree[path] = self._regular_file(path, base64.b64decode(value["content"], validate=True))

    def _regular_file(self, path: str, content: bytes) -> File:
        if upload_mode(path, len(content), b"") == "lfs":
            limit = f"{REGULAR_LIMIT} bytes" if len(content) > REGULAR_LIMIT else "its name"
            raise fault(400, f"{path} must go through LFS because of {limit}")
        if path == "README.md" and (errors := card_errors(content.decode())):
            raise fault(400, f"Invalid metadata in README.md: {errors[0]}")
        return self._hub.blobs.add(content, path)

    def _lfs_file(self, repo: Repo, sha256: str, size: int) -> File:
        xet_hash = self._hub.xet.hash_of(sha256) if self._hub.xet else None
        if sha256 not in repo.objects:
            if self._hub.xet is None or xet_hash is None:
                raise fault(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
            self._hub.blobs.add(self._hub.xet.content(xet_hash, size))
            repo.objects.add(sha256)
        return self._hub.blobs.file(sha256, xet_hash)

    async def _xet_token(self, request: web.Request, repo: Repo) -> web.Response:
        if self._hub.xet is None:
            raise fault(404, "This repository does not use Xet")
        if request.match_info["access"] == "write" and self._access.role(request) != "write":
            raise fault(403, "A write token is needed")
        url, expires = self._hub.xet.url, int(time.time()) + 3600
        headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": str(expires)}
        return web.json_response({"casUrl": url, "accessToken": "xet", "exp": expires}, headers=headers)
