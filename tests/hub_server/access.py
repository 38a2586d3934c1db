"""Who may do what on the Hub, and how it says that somebody may not."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from tests.hub_server.repos import Commit, Repo

if TYPE_CHECKING:
    from tests.hub_server.server import HubServer

RepoHandler = Callable[[web.Request, Repo], Awaitable[web.StreamResponse]]


class Access:
    """Finds what a request is about, for those who may see it."""

    def __init__(self, hub: "HubServer") -> None:
        self._hub = hub

    def role(self, request: web.Request) -> str | None:
        """What the login may: write, read, or something else; None without one."""
        given = request.headers.get("Authorization")
        if given is None:
            return None
        role = self._hub.tokens.get(given.removeprefix("Bearer "))
        if role is None:
            raise fault(401, "Invalid credentials in Authorization header")
        return role

    def _repo(self, request: web.Request) -> tuple[Repo, str | None]:
        role = self.role(request)
        kind = request.match_info.get("kind", "models").removesuffix("s")
        repo = self._hub.repos.get((kind, f"{request.match_info['owner']}/{request.match_info['name']}"))
        if repo is None or (repo.private and role not in ("read", "write")):
            raise fault(404 if role else 401, "Repository not found", "RepoNotFound")
        return repo, role

    def reading(self, handler: RepoHandler) -> Any:
        """The handler, for those who may see the repository."""

        async def checked(request: web.Request) -> web.StreamResponse:
            return await handler(request, self._repo(request)[0])

        return checked

    def writing(self, handler: RepoHandler) -> Any:
        """The handler, for those who may write to the repository."""

        async def checked(request: web.Request) -> web.StreamResponse:
            repo, role = self._repo(request)
            if role != "write":
                raise fault(403 if role else 401, "You don't have the rights to do this: a write token is needed")
            return await handler(request, repo)

        return checked

    def at(self, request: web.Request, repo: Repo) -> Commit:
        """The commit that the request names; main's if it names none."""
        commit = repo.resolve(request.match_info.get("revision", "main"))
        if commit is None:
            raise fault(404, f"Invalid rev id: {request.match_info['revision']}", "RevisionNotFound")
        return commit


def fault(status: int, message: str, code: str = "", headers: dict[str, str] | None = None) -> web.HTTPException:
    """An answer that says what is wrong as the Hub does: in the body and in two headers."""
    said = {"X-Error-Message": quote(message, safe=" .:,'/()")} | ({"X-Error-Code": code} if code else {})
    kinds = {401: web.HTTPUnauthorized, 403: web.HTTPForbidden, 404: web.HTTPNotFound, 409: web.HTTPConflict}
    kinds |= {400: web.HTTPBadRequest, 412: web.HTTPPreconditionFailed}
    body = json.dumps({"error": message})
    return kinds[status](text=body, content_type="application/json", headers=said | (headers or {}))
