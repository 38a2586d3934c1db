"""The `openai` engine: any OpenAI-compatible server."""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import tenacity

from safety_reasoning.builders.calls import Reply, Request, Status
from safety_reasoning.builders.recipe import EngineRecipe
from safety_reasoning.builders.teachers.client import BadBody, ChatClient, Failed, HttpStatus
from safety_reasoning.builders.teachers.completion import complete
from safety_reasoning.builders.teachers.protocol import CallUnfinished, TeacherStopped
from safety_reasoning.errors import UsageError

_MAX_ASIDE_S = 60.0
"""A server that fails is passed over, while another one answers, for 1, 2, 4, … seconds and at most so long."""
_MAX_RETRY_AFTER_S = 3600.0
"""A server that asks for more is asked again after an hour."""
_MAX_BACK_OFF_S = 30.0

_TRANSIENT_STATUS = {408, 409, 425, 429}
_REFUSED_STATUS = {401, 403, 404}


@dataclass(slots=True)
class _Endpoint:
    client: ChatClient
    in_flight: int = 0
    failures: int = 0
    """Times in a row that it was put aside."""
    aside_until: float = 0.0

    def failed(self, asked_s: float | None) -> None:
        """Pass over the server for as long as it asks, else for longer each time; calls that fail together are one."""
        now = time.monotonic()
        if self.aside_until <= now:
            self.aside_until = now + min(2.0 ** min(self.failures, 10), _MAX_ASIDE_S)
            self.failures += 1
        self.aside_until = max(self.aside_until, now + (asked_s or 0.0))


class OpenAITeacher:
    """One teacher on one or more servers; a call goes to the least busy server that has not just failed."""

    def __init__(self, recipe: EngineRecipe) -> None:
        key = api_key(recipe)
        self._recipe = recipe
        self._endpoints = [
            _Endpoint(ChatClient(url, key, timeout_s=recipe.timeout_s, connections=recipe.concurrency))
            for url in recipe.base_urls
        ]

    async def ask(self, request: Request) -> Reply:
        """See `Teacher.ask`."""
        try:
            return await self._until_answered(request)
        except BadBody as error:
            return request.reply(Status.ERROR_BODY, error=str(error))
        except HttpStatus as error:
            return self._status_reply(request, error)
        except Failed as error:
            raise CallUnfinished(str(error)) from error

    async def _until_answered(self, request: Request) -> Reply:
        """A try, and more of them while the failure may pass; only a call that has failed pays for the machinery."""
        try:
            return await self._once(request)
        except Failed as error:
            if not _is_transient(error):
                raise
            failed: Failed | None = error

        async def again() -> Reply:
            nonlocal failed
            if failed is not None:  # the first try, as tenacity counts them
                first, failed = failed, None
                raise first
            return await self._once(request)

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_transient),
            stop=tenacity.stop_after_attempt(self._recipe.attempts),
            wait=self._wait,
            reraise=True,
        )
        return await retrying(again)

    async def _once(self, request: Request) -> Reply:
        endpoint = least_busy(self._endpoints, time.monotonic())
        endpoint.in_flight += 1
        try:
            reply = await complete(endpoint.client, request)
        except Failed as error:
            if _is_transient(error):
                endpoint.failed(_asked_s(error))
            raise
        else:
            endpoint.failures = 0
            return reply
        finally:
            endpoint.in_flight -= 1

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds before the next try: what the server asks for unless another one is free, else back-off.

        Back-off grows with this call's tries, but not beyond what the best server's own failures in a row say: a
        fault now and then is worth a short wait, a server that is down a long one.
        """
        asked = _asked_s(state.outcome.exception() if state.outcome else None)
        now = time.monotonic()
        if asked is None or any(endpoint.aside_until <= now for endpoint in self._endpoints):
            power = min(state.attempt_number - 1, *(endpoint.failures for endpoint in self._endpoints))
            return random.uniform(0.0, min(0.5 * 2**power, _MAX_BACK_OFF_S))  # noqa: S311 - jitter
        return asked * random.uniform(1.0, 1.1)  # noqa: S311 - so that calls that were refused together spread out

    def _status_reply(self, request: Request, error: HttpStatus) -> Reply:
        """A refusal of this one call is kept; one of the whole teacher or a failing server is raised."""
        if error.status in _REFUSED_STATUS:
            raise TeacherStopped(_refusal(self._recipe, error.status)) from error
        if _is_transient(error):
            raise CallUnfinished(str(error)) from error
        return request.reply(Status.REJECTED, error=f"{error}: {error.text}")

    async def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints:
            await endpoint.client.close()


def api_key(recipe: EngineRecipe) -> str:
    """The key from the environment, 'none' for a server that wants none.

    Raises: UsageError naming the variable, if the recipe names one that is not set.
    """
    if recipe.api_key_env is None:
        return "none"
    key = os.environ.get(recipe.api_key_env, "")
    if not key:
        raise UsageError(
            f"{recipe.title}: the environment variable {recipe.api_key_env} is not set",
            why="the recipe names it as the holder of the key",
            fix=f"export {recipe.api_key_env}=…, or remove `api_key_env` for a server that wants no key",
        )
    return key


def least_busy(endpoints: Sequence[_Endpoint], now: float) -> _Endpoint:
    """The server with the fewest calls in flight, one that just failed only where all did."""
    return min(endpoints, key=lambda e: (e.aside_until > now, e.in_flight))


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, HttpStatus):
        return error.status in _TRANSIENT_STATUS or error.status >= 500
    return isinstance(error, Failed)


def _asked_s(error: BaseException | None) -> float | None:
    """Seconds that the server asks to be left alone for; None where it does not."""
    if not isinstance(error, HttpStatus):
        return None
    asked = retry_after_s(error.retry_after, time.time())
    return None if asked is None else min(asked, _MAX_RETRY_AFTER_S)


def retry_after_s(header: str, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, given as such or as a date; None where it says nothing usable."""
    try:
        asked = float(header)
    except ValueError:
        try:
            asked = parsedate_to_datetime(header).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return asked if 0 < asked < float("inf") else None


def _refusal(recipe: EngineRecipe, status: int) -> str:
    if status == 404:
        return (
            f"{recipe.title}: the server knows no model {recipe.model!r} or no such path (HTTP 404); "
            "correct `model` or `base_urls`"
        )
    holder = recipe.api_key_env or "no variable: the recipe has no `api_key_env`"
    return f"{recipe.title}: the server refuses the key (HTTP {status}); it is read from {holder}"
