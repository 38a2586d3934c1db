"""What is never pushed: a release that is not whole, a link, what lies outside the folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.check_dataset import check_dataset
from safety_reasoning.hub.folder import hashed
from safety_reasoning.hub.release import read_release
from tests.conftest import Run, tree
from tests.hub_server.broken import HUB_TOKEN, edit, write
from tests.hub_server.client import online
from tests.hub_server.pusher import Pusher
from tests.hub_server.server import HubServer

pytest_plugins = ["tests.hub_server.fixture"]
SAFETY = "aegis_v2_efficient_reasoning.jsonl"


def set_in_manifest(release: Path, *path: str, value: Any) -> None:
    place = release / "manifest.json"
    manifest = at = json.loads(place.read_text(encoding="utf-8"))
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    place.write_text(json.dumps(manifest), encoding="utf-8")


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "another byte": (lambda r: (r / SAFETY).write_bytes(b"{}\n"), "expected sha256"),
    "a file that is not named": (lambda r: (r / "notes.md").write_text("x"), "notes.md /: expected no such file"),
    "a record that is none": (lambda r: edit(r, SAFETY, '"prompt_label": "safe"', '"prompt_label": 7'), f"{SAFETY}:1 "),
    "a rule": (lambda r: edit(r, SAFETY, '"unharmful"', '"harmful"'), "/prompt_harm_label: expected 'unharmful'"),
    "other lines than Parquet": (
        lambda r: edit(r, SAFETY, "How do I sharpen a kitchen knife?", "How do I sharpen a bread knife?"),
        "the Parquet files and the JSON Lines of content_safety hold different records",
    ),
    "count in the card": (
        lambda r: edit(r, "README.md", "num_examples: 5", "num_examples: 6"),
        "records of content_safety: the card gives {'train': 6}, the files give {'train': 5}",
    ),
    "column in the card": (
        lambda r: edit(r, "README.md", "name: safety_reasoning_a", "name: safety_reasoning_c"),
        "columns of content_safety: the card gives [\"safety_reasoning_c: Value('string')\"]",
    ),
    "files in the card": (
        lambda r: edit(r, "README.md", "path: data/topic_control/train-*.parquet", "path: data/topics/*.parquet"),
        "data files of topic_control: the card gives []",
    ),
    "default in the card": (lambda r: edit(r, "README.md", "  default: true\n", ""), "default configs"),
    "no metadata": (lambda r: write(r, "README.md", b"# Test\n"), "has no metadata"),
    "metadata that is no YAML": (lambda r: write(r, "README.md", b"---\na: [\n---\n"), "cannot be read"),
    "a version that is none": (lambda r: set_in_manifest(r, "version", value="1.0"), "no tag follows from the version"),
    "a count in the manifest": (
        lambda r: set_in_manifest(r, "configs", "topic_control", "records", value=9),
        "expected 9 records, as the manifest says",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_release_that_is_not_whole_is_refused(copy: Path, name: str) -> None:
    spoil, said = BROKEN[name]
    spoil(copy)
    with pytest.raises(UsageError) as refused:
        check_dataset(copy)
        read_release(copy, None)
    assert said in str(refused.value)


def test_a_release_that_is_whole_is_counted(old_release: Path) -> None:
    assert check_dataset(old_release) == {"content_safety": 5, "topic_control": 3}


def test_a_file_that_changes_while_the_release_is_looked_at_is_noticed(copy: Path) -> None:
    (copy / SAFETY).write_bytes(b"{}\n")
    with pytest.raises(UsageError, match=r"is not what manifest\.json states"):
        read_release(copy, None)


def test_nothing_is_asked_of_the_hub_for_a_release_that_is_refused(pusher: Pusher, copy: Path) -> None:
    edit(copy, "README.md", "num_examples: 5", "num_examples: 6")
    pusher.hub.plan()
    done = pusher.push(copy, "o/refused", create=True)
    assert done.returncode == 2
    assert pusher.hub.since() == []


def test_a_folder_that_is_neither_release_nor_guard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a release nor a trained guard"):
        read_release(tmp_path, None)


LINKS = {
    "to a file outside": ("extra.md", "/etc/hostname"),
    "in the place of a file": (SAFETY, "../moved"),
    "to a folder": ("more", ".."),
    "to nothing": ("schemas/gone", "nowhere"),
    "hidden": (".secret", "/etc/hostname"),
}


@pytest.mark.parametrize("name", LINKS)
def test_a_link_is_refused(pusher: Pusher, copy: Path, name: str) -> None:
    link, target = LINKS[name]
    if (copy / link).exists():
        (copy / link).rename(copy / target)
    (copy / link).symlink_to(target)
    pusher.hub.plan()
    done = pusher.push(copy, "o/linked", create=True)
    assert done.returncode == 2
    assert "is a link" in done.err
    assert pusher.hub.since() == []


def test_a_pipe_is_refused(pusher: Pusher, copy: Path) -> None:
    os.mkfifo(copy / "pipe")
    done = pusher.push(copy, "o/linked", create=True)
    assert "neither a file nor a folder" in done.err


def test_a_file_outside_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("x", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="lies outside"):
        hashed(tmp_path / "folder", ["../outside"])


def test_hidden_files_stay_and_are_told(run: Run, hub: HubServer, tmp_path: Path, copy: Path) -> None:
    (copy / ".env").write_text(f"HF_TOKEN={HUB_TOKEN}", encoding="utf-8")
    (copy / "data" / ".DS_Store").write_bytes(b"\0")
    (copy / ".two\nlines").touch()
    done = run("push", copy, "o/n", "--create", "--yes", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    for shown in (".env", "data/.DS_Store", r".two\u000alines"):
        assert f"  leave  {shown} (its name begins with a dot)\n" in done.stdout
    assert hub.files().keys() == {*tree(copy), ".gitattributes"} - {".env", "data/.DS_Store", ".two\nlines"}


def test_a_release_is_tagged_with_the_version_that_it_states(old_release: Path) -> None:
    assert read_release(old_release, "v0.1.0").tag == "v0.1.0"
    with pytest.raises(UsageError, match=r"the release is v0\.1\.0, not v9\.0\.0"):
        read_release(old_release, "v9.0.0")
