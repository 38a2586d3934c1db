"""What the Hub may answer instead of what was asked: which of it passes by itself, and what a person can do.

No message holds a header, or the query of an address: that of an upload is a key to the storage.
"""

import json
import random
from dataclasses import dataclass

import httpx2
import regex
import tenacity
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from safety_reasoning.errors import UsageError

_PASSING = (408, 429, 500, 502, 503, 504)
_QUERY = regex.compile(r"\?[^\s'\"<>]*")
_TOKEN = regex.compile(r"hf_\w+")
_CONTROL = regex.compile(r"[\p{C}\p{Z}]+")
Failure = (HfHubHTTPError, httpx2.HTTPError, json.JSONDecodeError, HFValidationError, OSError, RuntimeError, ValueError)
"""What a call to the Hub can raise: RuntimeError is an upload's, ValueError a card's that the Hub refuses."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try again what may pass, and how long to wait for an answer."""

    attempts: int = 5
    first_wait_s: float = 1.0
    """Before the second attempt; doubled each time, unless the Hub says how long with Retry-After."""
    longest_wait_s: float = 60.0
    """Where the Hub asks for more, the push stops and says so."""
    answer_s: float = 120.0
    """Without a byte for so long, a connection counts as broken."""

    def retrying(self) -> tenacity.Retrying:
        """Attempts for one call that may be made again."""
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._worth_it),
            wait=lambda state: self._wait_s(state),
            stop=tenacity.stop_after_attempt(self.attempts),
            reraise=True,
        )

    def _worth_it(self, error: BaseException) -> bool:
        return passes(error) and (retry_after_s(error) or 0) <= self.longest_wait_s

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        grown = self.first_wait_s * 2 ** (state.attempt_number - 1)
        asked = retry_after_s(error) if error else None
        return asked if asked is not None else min(grown, self.longest_wait_s) * random.uniform(1, 1.5)  # noqa: S311


def passes(error: BaseException) -> bool:
    """Whether the same request may well succeed a little later."""
    cause = root(error)
    if isinstance(cause, HfHubHTTPError):
        return cause.response.status_code in _PASSING
    return isinstance(cause, httpx2.TransportError | json.JSONDecodeError)


def root(error: BaseException) -> BaseException:
    """What went wrong in truth: an upload's failure is wrapped in another exception."""
    return root(error.__cause__) if isinstance(error, RuntimeError) and error.__cause__ else error


def status_of(error: BaseException) -> int | None:
    """The status of the answer; None if there was none."""
    cause = root(error)
    return cause.response.status_code if isinstance(cause, HfHubHTTPError) else None


def retry_after_s(error: BaseException) -> float | None:
    """Seconds that the Hub asks to wait; None if it does not say."""
    cause = root(error)
    value = cause.response.headers.get("Retry-After", "") if isinstance(cause, HfHubHTTPError) else ""
    return float(value) if value.strip().isdigit() else None


def in_words(error: BaseException, repo: str, doing: str) -> UsageError:
    """The error for a person: what was being done, what the Hub said, what to do."""
    cause, status = root(error), status_of(error)
    what = f"{doing} failed"
    if isinstance(cause, OfflineModeIsEnabled):
        return UsageError(what, why="HF_HUB_OFFLINE is set", fix="unset it and run again")
    if isinstance(cause, HFValidationError):
        return UsageError(f"{repo!r} is not the name of a repository", why=_said(cause), fix="give OWNER/NAME")
    if isinstance(cause, GatedRepoError):
        return UsageError(what, why=f"{repo} is gated and this login has no access", fix="ask its owners for access")
    if isinstance(cause, RevisionNotFoundError):
        return UsageError(what, why=f"{repo} has no such branch, tag or commit", fix=_LOOK)
    if isinstance(cause, RepositoryNotFoundError) and status != 403:
        return UsageError(
            f"there is no {repo} that this login may see",
            why=f"the Hub answered {status} while {doing}",
            fix="check the name and `hf auth whoami`",
        )
    if status is not None and _of_storage(cause):
        return UsageError(what, why=f"the Hub's storage refused it ({status}: {_said(cause)})", fix=_AGAIN)
    if status is not None:
        why, fix = _ADVICE.get(status, _SERVER if status >= 500 else _REFUSED)
        said, wait = _said(cause), retry_after_s(cause)
        why = f"{why} ({status}{': ' + said if said else ''})" + (f"; it asks to wait {wait:.0f} s" if wait else "")
        return UsageError(what, why=why, fix=fix)
    return UsageError(what, why=detail(cause), fix=_AGAIN)


_LOOK = "look at its branches and tags on the Hub, then run again"
_AGAIN = "run the same command again: what is there is not sent again, and the branch holds a whole release"
_SERVER = ("the Hub had a fault", _AGAIN)
_REFUSED = ("the Hub refused it", "mend what it names, then run again")
_ADVICE = {
    401: ("the Hub does not know this login", "log in with `hf auth login`, or set HF_TOKEN to a valid token"),
    403: (
        "this login may not do that",
        "use a token with write access to the repository (https://huggingface.co/settings/tokens)",
    ),
    409: ("the Hub sees a conflict with something that is there or under way", _AGAIN),
    412: ("the branch is not where it was, and back there again", _AGAIN),
    413: ("the Hub finds it too large", "remove what does not belong there, or split the release"),
    429: ("too many requests", "wait as long as it asks, then run the same command again"),
}


def _of_storage(error: BaseException) -> bool:
    """Whether the answer came from where files are stored, whose signed addresses run out, not from the Hub itself."""
    return isinstance(error, HfHubHTTPError) and not str(error.response.request.url).startswith(constants.ENDPOINT)


def _said(error: BaseException) -> str:
    """The server's own words, on one line and without addresses' queries."""
    text = error.server_message if isinstance(error, HfHubHTTPError) else str(error)
    return _clean(text or "")


def detail(error: BaseException) -> str:
    """What an exception says, on one line and without addresses' queries."""
    return f"{type(error).__name__}: {_clean(str(error))}"


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", _TOKEN.sub("hf_…", _QUERY.sub("", text))).strip()[:300]
