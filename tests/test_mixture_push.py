"""A mixture on the Hub: pushed like a release, and loaded from there."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.check_dataset import check_dataset
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


def edited(mixture: Path, **changes: Any) -> None:
    path = mixture / "mixture.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def without_card(mixture: Path) -> None:
    text = "---\nconfigs: 5\n---\n"
    (mixture / "README.md").write_text(text, encoding="utf-8")
    stated = json.loads((mixture / "mixture.json").read_text(encoding="utf-8"))["files"]
    edited(mixture, files=stated | {"README.md": {"sha256": hashlib.sha256(text.encode()).hexdigest()}})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda mixture: (mixture / "notes.txt").touch(), "notes.txt is not of the mixture"),
        (lambda mixture: edited(mixture, configs=None), "mixture.json is not a mixture's"),
        (lambda mixture: edited(mixture, configs={"other": {"records": 6}}), "load_dataset does not give"),
        (without_card, "load_dataset does not give"),
    ],
    ids=["a file beside it", "no configs", "another config", "a broken card"],
)
def test_a_mixture_that_is_not_whole_is_refused(mixture: Path, spoil: Callable[[Path], object], said: str) -> None:
    check_dataset(mixture)
    spoil(mixture)
    with pytest.raises(UsageError, match=said):
        check_dataset(mixture)


def test_a_changed_mixture_needs_the_next_version_of_its_recipe(
    mixture: Path, tmp_path: Path, run: Run, hub: HubServer
) -> None:
    repo = hub.add_repo("o/mixture", folder=mixture)
    repo.tags["v0.1.0"] = repo.branches["main"]
    mixed(write_mixture_recipe(tmp_path / "r.toml", mode="non_reasoning"))
    done = run("push", mixture, "o/mixture", "--yes", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 2
    assert "o/mixture has a v0.1.0 already, with another content" in done.stderr
    assert "fix: give the mixture its next version in its recipe, and make it again" in done.stderr
