"""A mixture on the Hub: pushed like a release, and loaded from there."""

from pathlib import Path

import pytest

from tests.conftest import Run, tree
from tests.hub_server.client import online
from tests.hub_server.server import HubServer
from tests.mixtures import mixed, safety, write_mixture_recipe, write_release

pytest_plugins = ["tests.hub_server.fixture"]


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    write_release(tmp_path / "release", [safety(n) for n in range(6)])
    mixed(write_mixture_recipe(tmp_path / "r.toml"))
    return tmp_path / "mixture"


def test_a_mixture_is_pushed_in_one_commit_tagged_and_replaced_by_the_next(
    mixture: Path, tmp_path: Path, run: Run, hub: HubServer
) -> None:
    push = ["push", mixture, "o/mixture", "--yes"]
    env = online(hub, tmp_path / "hf")
    done = run(*push, "--create", env=env)
    assert done.returncode == 0, done.stderr
    repo = hub.repo("o/mixture")
    first = repo.branches["main"]
    assert repo.tags == {"v0.1.0": first}
    files = {name: data for name, data in hub.files("main", "o/mixture").items() if name != ".gitattributes"}
    assert files == tree(mixture)
    assert "6 records of default" in done.stdout

    mixed(write_mixture_recipe(tmp_path / "r.toml", mode="non_reasoning", version="0.2.0"))
    done = run(*push, env=env)
    assert done.returncode == 0, done.stderr
    assert repo.commits[repo.branches["main"]].parent == first
    assert set(repo.tags) == {"v0.1.0", "v0.2.0"}


def test_a_damaged_mixture_is_not_pushed(mixture: Path, tmp_path: Path, run: Run, hub: HubServer) -> None:
    with (mixture / "README.md").open("a", encoding="utf-8") as file:
        file.write("changed")
    done = run("push", mixture, "o/mixture", "--create", "--yes", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 2
    assert "README.md is not as mixture.json states it" in done.stderr
    assert hub.requests == []
