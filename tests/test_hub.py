"""Sources and validation from a Hub, with the real client against a server on loopback."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LiveTeacher, Run, aegis_row, openai_teacher, write_aegis, write_recipe
from tests.hub_server.client import online
from tests.hub_server.faults import Fault
from tests.hub_server.server import READ_TOKEN, HubServer
from tests.test_validate import content_record, write

pytest_plugins = ["tests.hub_server.fixture"]
STRANGER = "hf_stranger_" + "s" * 22


def seeded(server: HubServer, folder: Path, **options: Any) -> str:
    """A data set `o/n` of the folder's files, tagged v1; its commit."""
    repo = server.add_repo(folder=folder, **options)
    repo.tags["v1"] = repo.branches["main"]
    server.tokens[STRANGER] = "stranger"
    return repo.tags["v1"]


def recipe(folder: Path, url: str, **source: Any) -> Path:
    return write_recipe(
        folder / "recipe.toml",
        sources=[{"kind": "aegis"} | source],
        teachers=[openai_teacher("a", url)],
    )


@pytest.mark.parametrize("by", ["tag", "commit"])
def test_a_hub_source_gives_the_records_of_the_same_folder(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher], hub: HubServer, by: str
) -> None:
    rows = write_aegis(tmp_path / "rows", [aegis_row(), aegis_row(id="2")])
    commit, url = seeded(hub, rows), teacher().url
    revision = commit if by == "commit" else "v1"
    done = run("build", recipe(tmp_path / "local", url, path=rows))
    assert done.returncode == 0, done.stderr
    remote = recipe(tmp_path / "remote", url, path="hf://datasets/o/n", revision=revision)
    done = run("build", remote, env=online(hub, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    names = "aegis_v2_efficient_reasoning.jsonl"
    assert (tmp_path / "remote/release" / names).read_bytes() == (tmp_path / "local/release" / names).read_bytes()
    assert f'"revision": "{revision}"' in (tmp_path / "remote/release/manifest.json").read_text(encoding="utf-8")


def test_a_hub_source_without_a_revision_is_refused_before_anything_is_fetched(
    tmp_path: Path, run: Run, hub: HubServer
) -> None:
    seeded(hub, write_aegis(tmp_path / "rows", [aegis_row()]))
    path = recipe(tmp_path, "http://127.0.0.1:9/v1", path="hf://datasets/o/n")
    done = run("build", path, env=online(hub, tmp_path / "hf"))
    assert done.returncode == 2
    assert "names no revision" in done.stderr
    assert hub.requests == []


@pytest.mark.parametrize(
    ("options", "source", "said"),
    [
        ({}, {"path": "hf://datasets/o/other", "revision": "v1"}, "could not be fetched"),
        ({}, {"path": "hf://datasets/o/n", "revision": "v9"}, "could not be fetched"),
        ({}, {"path": "hf://datasets/not a name", "revision": "v1"}, "could not be fetched"),
        ({"private": True}, {"path": "hf://datasets/o/n", "revision": "v1"}, "could not be fetched"),
        ({"gated": "manual"}, {"path": "hf://datasets/o/n", "revision": "v1"}, "is gated"),
    ],
    ids=["no such repo", "no such revision", "no name", "private", "gated"],
)
def test_what_the_hub_does_not_give_is_an_error_without_a_traceback_or_the_token(
    tmp_path: Path, run: Run, hub: HubServer, options: dict[str, Any], source: dict[str, str], said: str
) -> None:
    seeded(hub, write_aegis(tmp_path / "rows", [aegis_row()]), **options)
    path = recipe(tmp_path, "http://127.0.0.1:9/v1", **source)
    done = run("build", path, env=online(hub, tmp_path / "hf", HF_TOKEN=STRANGER))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert STRANGER not in done.stdout + done.stderr


def test_a_source_that_never_comes_whole_is_an_error(tmp_path: Path, run: Run, hub: HubServer) -> None:
    seeded(hub, write_aegis(tmp_path / "rows", [aegis_row()]))
    hub.plan(Fault("cut_answer", match=r"GET .*/resolve/", times=100))
    path = recipe(tmp_path, "http://127.0.0.1:9/v1", path="hf://datasets/o/n", revision="v1")
    done = run("build", path, env=online(hub, tmp_path / "hf"))
    assert done.returncode == 2
    assert "dataset o/n at revision v1 could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gated_source_is_read_with_the_right_token(
    tmp_path: Path, run: Run, teacher: Callable[..., LiveTeacher], hub: HubServer
) -> None:
    seeded(hub, write_aegis(tmp_path / "rows", [aegis_row()]), private=True, gated="manual")
    path = recipe(tmp_path, teacher().url, path="hf://datasets/o/n", revision="v1")
    done = run("build", path, env=online(hub, tmp_path / "hf", HF_TOKEN=READ_TOKEN))
    assert done.returncode == 0, done.stderr
    for file in (tmp_path / "release").rglob("*"):
        assert file.is_dir() or READ_TOKEN.encode() not in file.read_bytes()


@pytest.mark.parametrize("reference", ["hf://datasets/o/n", "hf://datasets/o/n@v1"])
def test_a_hub_dataset_is_validated(tmp_path: Path, run: Run, hub: HubServer, reference: str) -> None:
    folder = tmp_path / "repo"
    folder.mkdir()
    write(folder / "aegis_v2_efficient_reasoning.jsonl", content_record(), content_record(id="2", prompt=1))
    seeded(hub, folder)
    done = run("validate", reference, env=online(hub, tmp_path / "hf"))
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[0] == "aegis_v2_efficient_reasoning.jsonl:2 /prompt: expected string, not integer"
