"""Fixtures of a Hub on loopback; a test module names this one in `pytest_plugins` and does not import it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LiveTeacher, aegis_row, build_here, mixed_rows, openai_teacher, write_aegis, write_recipe
from tests.hub_server.client import online
from tests.hub_server.pusher import Pusher, pushing
from tests.hub_server.server import HubServer


@pytest.fixture
def start_hub() -> Iterator[Callable[..., HubServer]]:
    """Start Hubs with options: `start_hub(multipart_over=1_000_000)`."""
    started: list[HubServer] = []

    def start(**options: Any) -> HubServer:
        started.append(HubServer(**options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def hub(start_hub: Callable[..., HubServer]) -> HubServer:
    """An empty Hub; `hub.add_repo("o/n")` gives it a repository."""
    return start_hub()


@pytest.fixture(scope="session")
def pusher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pusher]:
    """Pushes in processes of their own, to one Hub (`pusher.hub`) that lasts; every test takes other repositories."""
    with HubServer() as hub, pushing(hub, online(hub, tmp_path_factory.mktemp("hf"))) as started:
        yield started


@pytest.fixture(scope="session")
def old_release(tmp_path_factory: pytest.TempPathFactory, release: Path) -> Path:
    """Version 0.1.0: both tasks, two teachers."""
    copy = tmp_path_factory.mktemp("old") / "release"
    shutil.copytree(release, copy)
    return copy


@pytest.fixture
def copy(tmp_path: Path, old_release: Path) -> Path:
    """The same, to be changed by one test."""
    shutil.copytree(old_release, tmp_path / "release")
    return tmp_path / "release"


@pytest.fixture(scope="session")
def new_release(tmp_path_factory: pytest.TempPathFactory, live: LiveTeacher) -> Path:
    """Version 0.2.0: rows changed, added and taken out, and one task with its files gone."""
    folder = tmp_path_factory.mktemp("new")
    rows = [*mixed_rows()[1:], aegis_row(id="1", prompt="How do I sharpen a pair of scissors?"), aegis_row(id="6")]
    recipe = write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(folder / "aegis", rows)}],
        teachers=[openai_teacher(name, live.url) for name in ("a", "b")],
        version="0.2.0",
    )
    build_here(recipe)
    return folder / "release"
