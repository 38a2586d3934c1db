"""Large files: through LFS in parts, and through Xet in chunks that are sent once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import LiveTeacher, Run, aegis_row, build_here, openai_teacher, tree, write_aegis, write_recipe
from tests.hub_server.client import online
from tests.hub_server.faults import Fault, Kind
from tests.hub_server.pusher import pushing
from tests.hub_server.server import HubServer
from tests.hub_server.walk import EMPTY, held, with_own

pytest_plugins = ["tests.hub_server.fixture"]
KILLED_IN_XET: tuple[tuple[Kind, str], ...] = (
    ("call", "/xet-write-token/"),
    ("call_after", "/xet-write-token/"),
    ("call", "/validate-yaml"),
    ("call_after", "/commit/"),
)


@pytest.fixture(scope="module")
def large_release(tmp_path_factory: pytest.TempPathFactory, live: LiveTeacher) -> Path:
    """A release whose JSON Lines are larger than what Git takes on the Hub."""
    folder = tmp_path_factory.mktemp("large")
    rows = [aegis_row(id=str(number), prompt=f"{number} " + "lorem ipsum " * 50_000) for number in range(18)]
    recipe = write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis", "path": write_aegis(folder / "aegis", rows)}],
        teachers=[openai_teacher("a", live.url)],
    )
    build_here(recipe)
    return folder / "release"


def test_a_file_above_ten_megabytes_goes_through_lfs_in_parts(
    run: Run, start_hub: Callable[..., HubServer], tmp_path: Path, large_release: Path
) -> None:
    hub = start_hub(multipart_over=4_000_000)
    name = "aegis_v2_efficient_reasoning.jsonl"
    assert (large_release / name).stat().st_size > 10 * 1024 * 1024
    done = run("push", large_release, "o/n", "--create", "--yes", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    files = hub.repo().resolve("v0.1.0")
    assert files is not None
    assert files.tree[name].lfs
    assert hub.files("v0.1.0") == with_own(large_release)
    parts = [r for r in hub.requests if r.origin == "storage" and r.path.endswith(("/1", "/2", "/3"))]
    assert sorted(r.bytes_in for r in parts)[-2:] == [4_000_000, 4_000_000]


def test_a_push_goes_through_xet_where_the_client_has_it(
    run: Run, start_hub: Callable[..., HubServer], tmp_path: Path, large_release: Path
) -> None:
    hub = start_hub(xet=tmp_path / "xet")
    done = run("push", large_release, "o/n", "--create", "--yes", env=online(hub, tmp_path / "hf", xet=True))
    assert done.returncode == 0, done.stderr
    assert hub.files("v0.1.0") == with_own(large_release)
    assert not [r for r in hub.requests if r.origin == "storage" and r.method == "PUT"]
    assert hub.xet is not None
    assert 0 < hub.xet.stored_bytes() < sum(len(content) for content in tree(large_release).values())


def test_a_push_through_xet_that_is_killed_is_ended_by_the_next_without_sending_chunks_again(
    tmp_path: Path, old_release: Path, new_release: Path
) -> None:
    with HubServer(xet=tmp_path / "xet") as hub, pushing(hub, online(hub, tmp_path / "hf", xet=True)) as pusher:
        for number, (kind, line) in enumerate(KILLED_IN_XET):
            repo = f"o/xet-{number}"
            hub.add_repo(repo, private=True, folder=old_release)
            killed = pusher.killed(Fault(kind, match=line), new_release, repo)
            assert killed.returncode == -9
            hub.plan()
            done = pusher.push(new_release, repo)
            assert done.returncode == 0, done.err
            assert held(pusher, repo) == [EMPTY, with_own(old_release), with_own(new_release)]
        assert any("/xet-write-token/" in r.path for r in hub.requests)
        assert not [r for r in hub.requests if r.origin == "storage" and r.method == "PUT"]
