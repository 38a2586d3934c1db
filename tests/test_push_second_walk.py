"""A push over an older release, killed at each of its requests and run again."""

from pathlib import Path

import pytest

from tests.hub_server.pusher import Pusher
from tests.hub_server.walk import EMPTY, Walk, with_own

pytest_plugins = ["tests.hub_server.fixture"]


@pytest.mark.timeout(600)
def test_a_push_that_is_killed_at_any_request_leaves_the_old_release_or_the_new_and_a_second_run_ends_it(
    pusher: Pusher, old_release: Path, new_release: Path
) -> None:
    def seed(repo: str) -> None:
        made = pusher.hub.add_repo(repo, private=True, folder=old_release)
        made.tags["v0.1.0"] = made.branches["main"]

    walk = Walk(pusher, new_release, "second", seed, [EMPTY, with_own(old_release), with_own(new_release)])
    wrong = {request: faults for request, faults in walk.faults() if faults}
    assert wrong == {}
    assert pusher.hub.files("v0.1.0", "o/second-whole") == with_own(old_release)
