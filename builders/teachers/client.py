"""A thin chat-completions client: the OpenAI client's requests and semantics over aiohttp alone.

AsyncOpenAI spends about 2 ms of processor time on a call and 20 MB of memory, this client 0.35 ms (see
benchmarks/trace_engine.py); tests/test_client.py holds the two against each other. Fields are typed by the OpenAI
package where types are checked; nothing of it is loaded when the client runs.
"""

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

import aiohttp

_CONNECT_S = 10.0
CHAT, TEXT = "chat/completions", "completions"
"""Where a chat and a raw text are completed, below the base URL."""


class Failed(Exception):
    """A request without a usable answer; `str()` is the kind of failure, without addresses or texts."""


class Unreachable(Failed):
    """Nothing listens there, or not within ten seconds."""


class HttpStatus(Failed):
    """The server answered with another status than 200."""

    def __init__(self, status: int, retry_after: str, text: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.retry_after = retry_after
        """The header, '' where there is none."""
        self.text = text
        """The server's words, shortened; they may quote the prompt, so they are kept and never shown."""


class NoJson(Failed):
    """HTTP 200, and a body that no such server sends: a proxy's page, or the end is missing."""


class BadBody(Failed):
    """HTTP 200, and no answer in it."""


class ChatClient:
    """One server. Made anywhere, used and closed in one event loop."""

    def __init__(self, base_url: str, api_key: str, *, timeout_s: float, connections: int) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        self._connections = connections
        self._http: aiohttp.ClientSession | None = None

    async def create(self, body: Mapping[str, Any], *, endpoint: str = CHAT) -> dict[str, Any]:
        """The completion, as JSON, that one request brings; nothing is tried again.

        Raises: HttpStatus, Unreachable, NoJson, BadBody for a 200 whose body is no object, or Failed for a time-out
        and a connection that was lost.
        """
        # ASCII: a lone surrogate in a prompt is an escape, which any server can read, and refuse if it will.
        sent = json.dumps(dict(body), ensure_ascii=True).encode("ascii")
        try:
            async with self._session().post(f"{self._base}/{endpoint}", data=sent, headers=self._headers) as response:
                content = await response.read()
        except (aiohttp.ServerTimeoutError, aiohttp.ClientConnectorError) as error:
            raise Unreachable("no connection") from error  # only connecting has a limit of its own
        except TimeoutError as error:
            raise Failed("timed out") from error
        except aiohttp.ClientError as error:
            raise Failed("connection lost") from error
        if response.status != 200:
            words = content[:2000].decode("utf-8", "replace")[:500]
            raise HttpStatus(response.status, response.headers.get("Retry-After", ""), words)
        return _object(content)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                timeout=self._timeout,
                # Reads the proxy variables, and ~/.netrc for every request: only where there is a proxy.
                trust_env=bool(urllib.request.getproxies()),
            )
        return self._http

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()


def _object(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested too deeply
        raise NoJson("the body is no JSON") from None
    if not isinstance(parsed, dict):
        raise BadBody("the body is no JSON object")
    return parsed
