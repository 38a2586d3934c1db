"""The `openai` engine: any OpenAI-compatible server, through AsyncOpenAI and its aiohttp transport."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx2
import openai
import tenacity

from safety_reasoning.builders.calls import Call, Reply, Status
from safety_reasoning.builders.recipe import TeacherRecipe
from safety_reasoning.builders.teachers.completion import BadBody, complete
from safety_reasoning.builders.teachers.protocol import CallUnfinished, TeacherStopped
from safety_reasoning.errors import UsageError

_SET_ASIDE_S = 15.0
"""How long a server that failed is passed over while another one answers."""
_MAX_RETRY_AFTER_S = 300.0
_BACK_OFF = tenacity.wait_random_exponential(multiplier=0.5, max=30.0)


_TRANSIENT = (
    openai.APIConnectionError,  # time-outs, resets and cut bodies included
    openai.APIResponseValidationError,
    json.JSONDecodeError,  # what the client raises for a 200 whose body is no JSON
    RecursionError,  # … or JSON nested too deeply
    BadBody,
)
_TRANSIENT_STATUS = {408, 409, 425, 429}
_REFUSED_STATUS = {401, 403, 404}


@dataclass(slots=True)
class _Endpoint:
    url: str
    client: openai.AsyncOpenAI
    in_flight: int = 0
    aside_until: float = 0.0


class OpenAITeacher:
    """One teacher on one or more servers; a call goes to the least busy server that has not just failed."""

    def __init__(self, recipe: TeacherRecipe) -> None:
        key = api_key(recipe)
        self._recipe = recipe
        self._endpoints = [
            _Endpoint(url, _client(url, key, recipe.timeout_s, recipe.concurrency)) for url in recipe.base_urls
        ]

    async def ask(self, call: Call) -> Reply:
        """See `Teacher.ask`."""
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_transient),
            stop=tenacity.stop_after_attempt(self._recipe.attempts),
            wait=_wait,
            reraise=True,
        )
        try:
            return await retrying(self._once, call)
        except BadBody as error:
            return Reply(key=call.key, status=Status.ERROR_BODY, error=str(error))
        except openai.APIStatusError as error:
            return self._status_reply(call, error)
        except _TRANSIENT as error:
            raise CallUnfinished(_kind(error)) from error

    async def _once(self, call: Call) -> Reply:
        endpoint = least_busy(self._endpoints, time.monotonic())
        endpoint.in_flight += 1
        try:
            return await complete(endpoint.client, call)
        except Exception as error:
            if isinstance(error, openai.APIConnectionError | openai.InternalServerError):
                endpoint.aside_until = time.monotonic() + _SET_ASIDE_S
            raise
        finally:
            endpoint.in_flight -= 1

    def _status_reply(self, call: Call, error: openai.APIStatusError) -> Reply:
        """A refusal of this one call is kept; one of the whole teacher or a failing server is raised."""
        status = error.status_code
        if status in _REFUSED_STATUS:
            raise TeacherStopped(_refusal(self._recipe, status)) from error
        if _is_transient(error):
            raise CallUnfinished(f"HTTP {status}") from error
        return Reply(key=call.key, status=Status.REJECTED, error=f"HTTP {status}: {_message(error)}")

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints:
            await endpoint.client.close()


def api_key(recipe: TeacherRecipe) -> str:
    """The key from the environment, 'none' for a server that wants none.

    Raises: UsageError naming the variable, if the recipe names one that is not set.
    """
    if recipe.api_key_env is None:
        return "none"
    key = os.environ.get(recipe.api_key_env, "")
    if not key:
        raise UsageError(
            f"teacher {recipe.name}: the environment variable {recipe.api_key_env} is not set",
            why="the recipe names it as the holder of the key",
            fix=f"export {recipe.api_key_env}=…, or remove `api_key_env` for a server that wants no key",
        )
    return key


def _client(url: str, key: str, timeout_s: float, connections: int) -> openai.AsyncOpenAI:
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    timeout = httpx2.Timeout(timeout_s, connect=10.0)
    http_client = openai.DefaultAioHttpClient(limits=limits, timeout=timeout)
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=timeout, http_client=http_client)


def least_busy(endpoints: Sequence[_Endpoint], now: float) -> _Endpoint:
    """The server with the fewest calls in flight, one that just failed only where all did."""
    return min(endpoints, key=lambda e: (e.aside_until > now, e.in_flight))


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _TRANSIENT_STATUS or error.status_code >= 500
    return isinstance(error, _TRANSIENT)


def _kind(error: BaseException) -> str:
    """A transient failure in words. The client calls a refused connection a time-out; its cause knows better."""
    if isinstance(error.__cause__, httpx2.ConnectTimeout | httpx2.ConnectError):
        return "no connection"
    if isinstance(error, openai.APITimeoutError):
        return "timed out"
    if isinstance(error, openai.APIConnectionError):
        return "connection lost"
    return "the body is not what it should be"


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds before the next try: what the server asks for (Retry-After), else exponential with jitter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, openai.APIStatusError):
        try:
            asked = float(error.response.headers.get("retry-after", ""))
        except ValueError:
            asked = 0.0
        if 0 < asked <= _MAX_RETRY_AFTER_S:
            return asked
    return _BACK_OFF(state)


def _message(error: openai.APIStatusError) -> str:
    """The server's own words, shortened; they may quote the prompt, so they are kept and never logged."""
    return str(error.message)[:500]


def _refusal(recipe: TeacherRecipe, status: int) -> str:
    if status == 404:
        return (
            f"teacher {recipe.name}: the server knows no model {recipe.model!r} or no such path (HTTP 404); "
            "correct `model` or `base_urls`"
        )
    holder = recipe.api_key_env or "no variable: the recipe has no `api_key_env`"
    return f"teacher {recipe.name}: the server refuses the key (HTTP {status}); it is read from {holder}"
