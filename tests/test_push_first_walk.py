"""The first push of a release, killed at each of its requests and run again."""

from pathlib import Path

import pytest

from tests.hub_server.pusher import Pusher
from tests.hub_server.walk import EMPTY, Walk, with_own

pytest_plugins = ["tests.hub_server.fixture"]


@pytest.mark.timeout(600)
def test_a_first_push_that_is_killed_at_any_request_leaves_all_or_nothing_and_a_second_run_ends_it(
    pusher: Pusher, old_release: Path
) -> None:
    walk = Walk(pusher, old_release, "first", lambda repo: None, [EMPTY, with_own(old_release)])
    wrong = {request: faults for request, faults in walk.faults() if faults}
    assert wrong == {}
