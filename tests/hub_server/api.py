"""The Hub's HTTP API, as far as `huggingface_hub` 2.4 and `datasets` 5.2 ask for it in a push and a load."""

from typing import TYPE_CHECKING

from aiohttp import web

from tests.hub_server.access import Access, fault
from tests.hub_server.card import card_errors
from tests.hub_server.reading import Reading
from tests.hub_server.writing import Writing

if TYPE_CHECKING:
    from tests.hub_server.server import HubServer

_REPO = "/api/{kind:datasets|models}/{owner}/{name}"


class Api:
    """All endpoints; here those that are about no repository, or about one that is to be."""

    def __init__(self, hub: "HubServer") -> None:
        self._hub = hub
        self._access = Access(hub)

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint with its method."""
        return [
            web.get("/api/whoami-v2", self._whoami),
            web.head("/api/telemetry/{path:.*}", self._telemetry),
            web.post("/api/repos/create", self._create),
            web.post("/api/validate-yaml", self._validate_yaml),
            *Reading(self._hub, self._access).routes(_REPO),
            *Writing(self._hub, self._access).routes(_REPO),
        ]

    async def _whoami(self, request: web.Request) -> web.Response:
        role = self._access.role(request)
        if role is None:
            raise fault(401, "Invalid username or password.")
        return web.json_response(
            {"type": "user", "name": "o", "orgs": [], "auth": {"accessToken": {"displayName": "test", "role": role}}}
        )

    async def _telemetry(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _create(self, request: web.Request) -> web.Response:
        asked, role = await request.json(), self._access.role(request)
        name, kind = f"{asked.get('organization') or 'o'}/{asked['name']}", asked.get("type") or "model"
        if role != "write" or not name.startswith("o/"):
            raise fault(403 if role else 401, "You don't have the rights to create a repo under this namespace")
        url = f"{self._hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self._hub.repos:
            return web.json_response({"error": f"You already created this {kind} repo", "url": url}, status=409)
        self._hub.add_repo(name, kind, private=asked.get("visibility") == "private")
        return web.json_response({"url": url, "name": name, "id": name})

    async def _validate_yaml(self, request: web.Request) -> web.Response:
        content = (await request.json())["content"]
        errors = [{"message": text} for text in card_errors(content)]
        return web.json_response({"errors": errors, "warnings": []}, status=400 if errors else 200)
