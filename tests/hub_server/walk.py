"""Walk through every request of a push: end it there by SIGKILL, look at what the branch held, push again."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import tree
from tests.hub_server.faults import Fault, Kind, Request
from tests.hub_server.pusher import Pusher
from tests.hub_server.repos import GITATTRIBUTES, INITIAL_FILE

Files = dict[str, bytes]
EMPTY: Files = {INITIAL_FILE: GITATTRIBUTES}
"""What a repository holds that was just made."""


_CHANGES = re.compile(r"^PUT|/repos/create|/commit/|/tag/")
"""Requests after which the Hub is not as it was."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A push of a release over what `seed` puts into a repository; a branch may only ever hold what is `allowed`."""

    pusher: Pusher
    release: Path
    name: str
    seed: Callable[[str], None]
    allowed: list[Files]

    def requests(self) -> list[Request]:
        """Those of a push that nothing disturbs."""
        repo = f"o/{self.name}-whole"
        self.seed(repo)
        self.pusher.hub.plan()
        done = self.pusher.push(self.release, repo, create=True)
        assert done.returncode == 0, done.err
        return self.pusher.hub.since()

    def faults(self) -> Iterator[tuple[str, list[str]]]:
        """(request, what is wrong) for each request, killed before it is done, and after it if it changed anything.

        After each the push is run again to its end; while it only reads back, at the next kill.
        """
        requests = self.requests()
        tagged = next(request.number for request in requests if "/tag/" in request.path)
        for request in requests[: tagged + 1]:
            kinds: tuple[Kind, ...] = ("call", "call_after") if _CHANGES.search(request.line) else ("call",)
            for kind in kinds:
                repo = f"o/{self.name}-{request.number}-{kind.replace('_', '-')}"
                self.seed(repo)
                yield f"{kind} {request.line}", self._killed_and_run_again(repo, request.number, kind)
        yield "reading back", self._killed_while_reading_back()

    def _killed_and_run_again(self, repo: str, number: int, kind: Kind) -> list[str]:
        wrong = self._killed(repo, number, kind)
        first = self.pusher.hub.since()
        return [*wrong, *self._ended(repo), *self._sent_twice([*first, *self.pusher.hub.since()])]

    def _killed_while_reading_back(self) -> list[str]:
        """Killed later and later, until a push has no such request any more."""
        repo = f"o/{self.name}-reading"
        self.seed(repo)
        wrong = [] if self.pusher.push(self.release, repo, create=True).returncode == 0 else ["the push failed"]
        numbers = range(len(self._again(repo)))
        assert len(numbers) > 10
        for number in numbers:
            wrong += self._killed(repo, number, "call")
        return [*wrong, *self._ended(repo)]

    def _again(self, repo: str) -> list[Request]:
        self.pusher.hub.plan()
        self.pusher.push(self.release, repo, create=True)
        return self.pusher.hub.since()

    def _killed(self, repo: str, number: int, kind: Kind) -> list[str]:
        done = self.pusher.killed(Fault(kind, at=number), self.release, repo, create=True)
        return [] if done.returncode == -9 else [f"it was not killed at request {number}"]

    def _ended(self, repo: str) -> list[str]:
        """What is wrong once it is run to its end."""
        self.pusher.hub.plan()
        done = self.pusher.push(self.release, repo, create=True)
        return [*([] if done.returncode == 0 else [done.err]), *self._differences(repo)]

    def _differences(self, repo: str) -> Iterator[str]:
        hub, whole = self.pusher.hub, with_own(self.release)
        if any(files not in self.allowed for files in held(self.pusher, repo)):
            yield "the branch held a mixture"
        for revision in ("main", tag_of(self.release)):
            if hub.repo(repo).resolve(revision) is None or hub.files(revision, repo) != whole:
                yield f"{revision} is not the release"

    def _sent_twice(self, requests: list[Request]) -> Iterator[str]:
        """Files that arrived more often than the release has them (two may have one content)."""
        has = Counter(hashlib.sha256(content).hexdigest() for content in tree(self.release).values())
        uploads = [r for r in requests if r.origin == "storage" and r.method == "PUT" and r.status == 200]
        arrived = Counter(r.path.rpartition("/")[2] for r in uploads)
        yield from (f"{sha256} was uploaded again" for sha256, count in arrived.items() if count > has[sha256])


def with_own(folder: Path) -> Files:
    """A release's files as a branch holds them: with the Hub's own."""
    return dict(sorted((EMPTY | tree(folder)).items()))


def held(pusher: Pusher, repo: str, branch: str = "main") -> list[Files]:
    """Everything that the branch ever held, oldest first; nothing if there is no such repository."""
    if ("dataset", repo) not in pusher.hub.repos:
        return []
    moves = pusher.hub.repo(repo).moves
    return [pusher.hub.files(commit, repo) for ref, commit in moves if ref == branch]


def tag_of(release: Path) -> str:
    """The tag of a release."""
    return "v" + str(json.loads((release / "manifest.json").read_text(encoding="utf-8"))["version"])
