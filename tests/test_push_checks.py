"""What is never pushed: a release that is not whole, a link, a secret, a model that could run code."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.check_dataset import check_dataset
from safety_reasoning.hub.check_model import check_model
from safety_reasoning.hub.folder import hashed
from safety_reasoning.hub.release import read_release
from safety_reasoning.hub.tokens import findings, own_secrets
from tests.conftest import Run, tree
from tests.hub_server.client import online
from tests.hub_server.faults import Fault
from tests.hub_server.pusher import Pusher
from tests.hub_server.server import WRITE_TOKEN, HubServer

pytest_plugins = ["tests.hub_server.fixture"]
SAFETY = "aegis_v2_efficient_reasoning.jsonl"
HUB_TOKEN = "hf_" + "aB3dE5" * 6


@pytest.fixture
def copy(tmp_path: Path, old_release: Path) -> Path:
    shutil.copytree(old_release, tmp_path / "release")
    return tmp_path / "release"


def write(release: Path, name: str, content: bytes) -> None:
    """Put a content into the place of a file, and its hash into the manifest."""
    (release / name).write_bytes(content)
    path = release / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(manifest), encoding="utf-8")


def edit(release: Path, name: str, old: str, new: str) -> None:
    text = (release / name).read_text(encoding="utf-8")
    assert old in text
    write(release, name, text.replace(old, new).encode())


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


TOKENS = {
    "Hugging Face": HUB_TOKEN,
    "Hugging Face OAuth": "hf_oauth_" + "aB3dE5" * 6,
    "organisation": "api_org_" + "aB3dE5" * 6,
    "OpenAI": "sk-" + "proj-" + "A1b2C3d4" * 4,
    "NVIDIA": "nvapi-" + "A1b2C3d4" * 8,
    "GitHub": "ghp_" + "A1b2C3d4e" * 4,
    "fine-grained GitHub": "github_pat_" + "A1b2C3d4e_" * 6,
    "GitLab": "glpat-" + "A1b2C3d4e-" * 2,
    "AWS": "AKIA" + "A1B2C3D4" * 2,
    "Google": "AIza" + "A1b2C3d" * 5,
    "Slack": "xoxb-" + "1234567890-abc",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("before", ["", "key=", '"', "\\n", "\n", "\\u201c", "ключ"])
def test_a_token_is_found_wherever_it_stands(tmp_path: Path, name: str, before: str) -> None:
    path = tmp_path / "file.txt"
    path.write_text("one\ntwo " + before + TOKENS[name] + " three\n", encoding="utf-8")
    found = list(findings({"file.txt": path}, {}))
    assert [(f.file, f.line, f.own) for f in found] == [("file.txt", 3 if before == "\n" else 2, False)]
    assert TOKENS[name] not in str(found[0])


@pytest.mark.parametrize(
    "text",
    [
        "risk-assessment-and-mitigation-2024",
        "hf_hub_download",
        "task-1234567890123456789012345",
        "sk-learn",
        "AKIAS",
        "hf_xet",
    ],
)
def test_ordinary_words_are_no_tokens(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.txt").write_text(text, encoding="utf-8")
    assert list(findings({"file.txt": tmp_path / "file.txt"}, {})) == []


def test_a_token_in_any_value_of_a_parquet_file_is_found_by_row(tmp_path: Path) -> None:
    rows = [{"a": "x", "b": [{"c": "y"}]}, {"a": "x", "b": [{"c": f"my key is {HUB_TOKEN}"}]}]
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    assert [str(f) for f in findings({"rows.parquet": tmp_path / "rows.parquet"}, {})] == [
        "rows.parquet:2 looks like a Hugging Face token"
    ]


def test_a_token_in_the_metadata_of_a_parquet_file_is_found(tmp_path: Path) -> None:
    pl.DataFrame({"a": ["x"]}).write_parquet(tmp_path / "rows.parquet", metadata={"made with": HUB_TOKEN})
    assert [str(f) for f in findings({"rows.parquet": tmp_path / "rows.parquet"}, {})] == [
        "rows.parquet looks like a Hugging Face token"
    ]


def test_a_token_in_the_name_of_a_file_is_found_and_not_shown(tmp_path: Path) -> None:
    name = f"{HUB_TOKEN}.txt"
    (tmp_path / name).write_text(HUB_TOKEN, encoding="utf-8")
    found = [str(finding) for finding in findings({name: tmp_path / name}, {})]
    assert found == [
        "the name of a file looks like a Hugging Face token",
        "the name of a file:1 looks like a Hugging Face token",
    ]


def test_a_finding_stays_on_its_line_whatever_its_file_is_called(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[31m").write_text(HUB_TOKEN, encoding="utf-8")
    found = findings({"a\n\x1b[31m": tmp_path / "a\n\x1b[31m"}, {})
    assert [str(finding) for finding in found] == [r"a\u000a\u001b[31m:1 looks like a Hugging Face token"]


@pytest.mark.parametrize("secret", ['a "quoted" \\ passphrase', "пароль из двух слов", os.fsdecode(b"\xff" * 16)])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_secret_of_this_machine_is_found_as_json_writes_it(tmp_path: Path, secret: str, ascii_only: bool) -> None:
    text = json.dumps({"note": f"it is {secret}"}, ensure_ascii=ascii_only)
    (tmp_path / "file.json").write_bytes(os.fsencode(text))
    found = findings({"file.json": tmp_path / "file.json"}, own_secrets({"MY_PASSWORD": secret}))
    assert [str(finding) for finding in found] == ["file.json:1 holds the value of MY_PASSWORD"]


def test_a_token_like_text_stops_the_push_unless_it_is_allowed(pusher: Pusher, copy: Path) -> None:
    edit(copy, "README.md", "## Limits", f"## Limits\n\nExample: {HUB_TOKEN}\n")
    pusher.hub.plan()
    done = pusher.push(copy, "o/token-like", create=True)
    assert done.returncode == 2
    line = (copy / "README.md").read_text(encoding="utf-8").splitlines().index(f"Example: {HUB_TOKEN}") + 1
    assert f"README.md:{line} looks like a Hugging Face token" in done.err
    assert HUB_TOKEN not in done.err
    assert pusher.hub.since() == []
    done = pusher.push(copy, "o/token-like", create=True, allow_token_like=True)
    assert done.returncode == 0, done.err


@pytest.mark.parametrize("variable", ["HF_TOKEN", "MY_TEACHER_API_KEY"])
def test_a_secret_of_this_machine_is_never_pushed(
    run: Run, hub: HubServer, tmp_path: Path, copy: Path, variable: str
) -> None:
    secret = WRITE_TOKEN if variable == "HF_TOKEN" else "correct horse battery staple"
    edit(copy, "README.md", "## Limits", f"## Limits\n\n{secret}\n")
    env = online(hub, tmp_path / "hf") | {variable: secret}
    done = run("push", copy, "o/n", "--create", "--yes", "--allow-token-like", env=env)
    assert done.returncode == 2
    assert ("the Hub token in use" if variable == "HF_TOKEN" else f"the value of {variable}") in done.stderr
    assert secret not in done.stdout + done.stderr
    assert hub.requests == []


def test_the_login_that_is_kept_on_disk_is_known(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(HUB_TOKEN, encoding="utf-8")
    script = "from safety_reasoning.hub.tokens import own_secrets; print(sorted(own_secrets().values()))"
    env = {k: v for k, v in os.environ.items() if k != "HF_TOKEN"} | {"HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert "the Hub token in use" in done.stdout
    assert own_secrets({"SHORT_KEY": "x", "PATH": "a" * 30}).keys() <= {own for own in own_secrets({})}


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


def test_a_release_is_tagged_with_the_version_that_it_states(old_release: Path) -> None:
    assert read_release(old_release, "v0.1.0").tag == "v0.1.0"
    with pytest.raises(UsageError, match=r"the release is v0\.1\.0, not v9\.0\.0"):
        read_release(old_release, "v9.0.0")
