"""A trained guard is pushed as a model; one that lacks something, or could run code, is refused."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.check_model import check_model
from safety_reasoning.hub.release import read_release
from tests.conftest import tree
from tests.hub_server.faults import Fault
from tests.hub_server.pusher import Pusher

pytest_plugins = ["tests.hub_server.fixture"]


def safetensors(**tensors: int) -> bytes:
    """A file of float32 tensors with so many elements."""
    header, at = {}, 0
    for name, count in tensors.items():
        header[name] = {"dtype": "F32", "shape": [count], "data_offsets": [at, at + 4 * count]}
        at += 4 * count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(at)


CARD = """---
license: gemma
base_model: google/gemma-3-4b-it
datasets:
- o/n
---
# A guard
"""
TRAINED = '{"version": "1.0.0", "release": {"repo": "o/n", "revision": "v0.1.0"}}'


@pytest.fixture
def guard(tmp_path: Path) -> Path:
    """The folder of a trained guard: two shards, what it was trained on, what it scored."""
    folder = tmp_path / "guard"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "gemma3_text"}', encoding="utf-8")
    (folder / "model-1.safetensors").write_bytes(safetensors(a=3))
    (folder / "model-2.safetensors").write_bytes(safetensors(b=5))
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    (folder / "metrics.json").write_text('{"aegis2_prompt_f1": 0.8}', encoding="utf-8")
    write_training(folder, TRAINED)
    return folder


def test_a_guard_is_pushed_as_a_model_in_one_commit_tagged_and_compared(pusher: Pusher, guard: Path) -> None:
    done = pusher.push(guard, "o/guard", create=True)
    assert done.returncode == 0, done.err
    repo = pusher.hub.repo("o/guard", "model")
    assert repo.private
    assert len(repo.commits) == 2
    assert repo.tags == {"v1.0.0": repo.branches["main"]}
    files = pusher.hub.files("v1.0.0", "o/guard", "model")
    assert {name: files[name] for name in tree(guard)} == tree(guard)
    pusher.hub.plan()
    done = pusher.push(guard, "o/guard")
    assert done.returncode == 0, done.err
    assert not [r for r in pusher.hub.since() if r.method in ("POST", "PUT")]


def test_a_guard_that_changed_needs_its_next_tag(pusher: Pusher, guard: Path) -> None:
    assert pusher.push(guard, "o/guard-2", create=True).returncode == 0
    (guard / "model-2.safetensors").write_bytes(safetensors(b=6))
    done = pusher.push(guard, "o/guard-2")
    assert "has a v1.0.0 already, with another content" in done.err
    assert "give the guard its next version: in training.json and the card, or with --tag if" in done.err
    done = pusher.push(guard, "o/guard-2", tag="v1.0.1")
    assert "the guard is v1.0.0, not v1.0.1" in done.err
    write_training(guard, TRAINED.replace("1.0.0", "1.0.1"))
    pusher.hub.plan()
    done = pusher.push(guard, "o/guard-2")
    assert done.returncode == 0, done.err
    repo = pusher.hub.repo("o/guard-2", "model")
    assert sorted(repo.tags) == ["v1.0.0", "v1.0.1"]
    assert [r.bytes_in for r in pusher.hub.since() if r.origin == "storage"] == [len(safetensors(b=6))]


def test_somebody_elses_commit_beside_a_guard_is_told_with_its_address(pusher: Pusher, guard: Path) -> None:
    repo = pusher.hub.add_repo("o/contested-guard", "model")
    parent = repo.branches["main"]

    def interfere() -> None:
        files = {**repo.commits[parent].tree, "notes.txt": pusher.hub.blobs.add(b"mind the gap", "notes.txt")}
        repo.commit("main", files, "by hand", parent=parent)

    pusher.hub.plan(Fault("call_after", match="/preupload/", run=interfere))
    done = pusher.push(guard, "o/contested-guard")
    assert done.returncode == 2
    assert "notes.txt was added" in done.err
    assert (
        f"look at it on the Hub ({pusher.hub.url}/o/contested-guard/commit/{repo.branches['main']}), then" in done.err
    )


def test_a_guard_may_be_trained_on_several_releases(guard: Path) -> None:
    releases = [{"repo": "o/n", "revision": "v0.1.0"}, {"repo": "o/m", "revision": "v2.0.0"}]
    (guard / "training.json").write_text(json.dumps({"release": releases}), encoding="utf-8")
    with pytest.raises(UsageError, match="do not name o/m"):
        check_model(guard)
    write_card(guard, "- o/n\n", "- o/n\n- o/m\n")
    check_model(guard)


def torch_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")


def write_card(guard: Path, old: str, new: str) -> None:
    (guard / "README.md").write_text(CARD.replace(old, new), encoding="utf-8")


def write_training(guard: Path, text: str) -> None:
    (guard / "training.json").write_text(text, encoding="utf-8")


def write_shards(guard: Path, name: object) -> None:
    (guard.parent / "outside").touch()
    text = json.dumps({"weight_map": {"a": name}})
    (guard / "model.safetensors.index.json").write_text(text, encoding="utf-8")


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickle": (lambda g: (g / "training_args.bin").write_bytes(b"\x80\x04."), "training_args.bin is a pickle"),
    "pickle of another name": (lambda g: (g / "state.dat").write_bytes(b"\x80\x04\x95."), "state.dat is a pickle"),
    "torch's zip": (lambda g: torch_zip(g / "weights.dat"), "weights.dat is a pickle"),
    "cut weights": (
        lambda g: (g / "model-1.safetensors").write_bytes(safetensors(a=3)[:-1]),
        "not a whole",
    ),
    "weights that are none": (lambda g: (g / "model-1.safetensors").write_bytes(b"PK\x03\x04"), "impossible length"),
    "a header that is none": (
        lambda g: (g / "model-1.safetensors").write_bytes(struct.pack("<Q", 2) + b"[]"),
        "not a JSON object of tensors",
    ),
    "a missing shard": (lambda g: (g / "model-2.safetensors").unlink(), "names a file that is not there"),
    "an offset beyond all numbers": (
        lambda g: (g / "model-1.safetensors").write_bytes(
            struct.pack("<Q", 35) + b'{"a": {"data_offsets": [0, 1e999]}}'
        ),
        "not a JSON object of tensors",
    ),
    "a shard outside the folder": (lambda g: write_shards(g, "../outside"), "names a file that is not there"),
    "a shard that is no name": (lambda g: write_shards(g, ["model-1.safetensors"]), "names a file that is not there"),
    "no card": (lambda g: (g / "README.md").unlink(), "the metadata of"),
    "no base model": (
        lambda g: write_card(g, "base_model", "x"),
        "does not state base_model",
    ),
    "no datasets": (lambda g: write_card(g, "datasets", "x"), "does not state datasets"),
    "no licence": (lambda g: write_card(g, "license", "x"), "does not state license"),
    "another data set": (lambda g: write_card(g, "o/n", "o/m"), "do not name o/n"),
    "no release": (lambda g: write_training(g, "{}"), "release.repo is missing"),
    "no revision": (
        lambda g: (g / "training.json").write_text('{"release": {"repo": "o/n"}}'),
        "release.revision is missing",
    ),
    "an empty revision": (lambda g: write_training(g, TRAINED.replace("v0.1.0", " ")), "release.revision is missing"),
    "no metrics": (lambda g: (g / "metrics.json").unlink(), "states no metrics"),
    "metrics that state nothing": (lambda g: (g / "metrics.json").write_text("{}"), "states no metrics"),
    "a config that is none": (lambda g: (g / "config.json").write_text("[]"), "is not a JSON object"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_guard_that_lacks_something_or_could_run_code_is_refused(guard: Path, name: str) -> None:
    spoil, said = UNFIT[name]
    spoil(guard)
    with pytest.raises(UsageError) as refused:
        check_model(guard)
    assert said in str(refused.value)


def test_a_file_that_only_ends_like_an_archive_is_one_of_any_content(guard: Path) -> None:
    (guard / "notes.dat").write_bytes(b"PK\x05\x06" + b"\xff" * 16 + b"\0\0")
    check_model(guard)


def test_a_guard_without_a_version_needs_a_tag(guard: Path) -> None:
    (guard / "training.json").write_text('{"release": {"repo": "o/n", "revision": "v0.1.0"}}', encoding="utf-8")
    check_model(guard)
    assert read_release(guard, "v2.0.0").tag == "v2.0.0"
    with pytest.raises(UsageError, match="no tag follows"):
        read_release(guard, None)
    with pytest.raises(UsageError, match="no tag follows"):
        read_release(guard, "latest")


def test_a_guard_whose_version_is_its_tag_alone_does_not_go_back_either(pusher: Pusher, guard: Path) -> None:
    write_training(guard, TRAINED.replace('"version": "1.0.0", ', ""))
    assert pusher.push(guard, "o/guard-3", create=True, tag="v1.5.0").returncode == 0
    (guard / "model-2.safetensors").write_bytes(safetensors(b=6))
    done = pusher.push(guard, "o/guard-3", tag="v1.2.0")
    assert done.returncode == 2
    assert "main of o/guard-3 is at v1.5.0 already, this is v1.2.0" in done.err


def test_what_training_json_states_beside_version_and_release_may_be_anything(guard: Path) -> None:
    write_training(guard, TRAINED.replace("{", '{"configs": [1], "files": 5, ', 1))
    assert read_release(guard, None).records == {}
