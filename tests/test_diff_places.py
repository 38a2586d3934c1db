"""Where the two sides of a diff may lie: folders with and without a manifest, and revisions on the Hub."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.diff import diff
from tests.conftest import Run
from tests.hub_server.client import online
from tests.hub_server.faults import Fault
from tests.hub_server.server import READ_TOKEN, HubServer
from tests.releases import CONTENT, TOPIC, content, make_release, topic, write_lines, write_tables

pytest_plugins = ["tests.hub_server.fixture"]

STRANGER = "hf_stranger_" + "s" * 25
ROWS = {CONTENT: [content(1), content(2)], TOPIC: [topic(1)]}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("release"), ROWS[CONTENT], ROWS[TOPIC])


@pytest.mark.parametrize("write", [write_lines, write_tables])
def test_a_folder_without_a_manifest_is_compared_by_its_rows(
    release: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    found = diff(str(write(tmp_path, ROWS)), str(release))
    assert [config.rows.differ for config in found.configs] == [False, False]
    assert list(found.beside) == ["README.md", "manifest.json"]


def test_files_of_any_name_are_found_by_their_columns(release: Path, tmp_path: Path) -> None:
    made = write_tables(tmp_path / "made", ROWS) / "data" / "content_safety" / "train-00000-of-00001.parquet"
    odd = tmp_path / "repo" / "deep"
    odd.mkdir(parents=True)
    made.rename(odd / "0000[1].parquet")
    (odd / "notes.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    found = diff(str(tmp_path / "repo"), str(release))
    assert [config.rows.before for config in found.configs] == [2, 0]


def test_another_projects_manifest_is_no_manifest(release: Path, tmp_path: Path) -> None:
    write_tables(tmp_path, ROWS)
    for text in ("[]", "{", '{"configs": {"x": 1}}', '{"configs": {}}', "[" * 100_000):
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
        assert diff(str(tmp_path), str(release)).old.version is None


def test_a_manifest_that_leads_out_of_its_folder_is_not_followed(release: Path, tmp_path: Path) -> None:
    write_tables(tmp_path, {TOPIC: ROWS[TOPIC]})
    outside = str(release / "data/content_safety/train-00000-of-00001.parquet")
    config = {"jsonl": "x.jsonl", "parquet": [outside], "records": 2}
    (tmp_path / "manifest.json").write_text(
        json.dumps({"configs": {"content_safety": config}, "files": {}}), encoding="utf-8"
    )
    assert [config.config for config in diff(str(tmp_path), str(tmp_path)).configs] == ["topic_control"]


def empty(folder: Path) -> None:
    folder.mkdir()


def without_known_columns(folder: Path) -> None:
    folder.mkdir()
    (folder / "x.jsonl").write_text('{"prompt": "x"}\n', encoding="utf-8")


def broken_parquet(folder: Path) -> None:
    folder.mkdir()
    (folder / "x.parquet").write_bytes(b"PAR1 and no more")


def missing_parquet(folder: Path) -> None:
    folder.mkdir()
    config = {"jsonl": "x.jsonl", "parquet": ["data/x.parquet"], "records": 2}
    (folder / "manifest.json").write_text(
        json.dumps({"configs": {"content_safety": config}, "files": {}}), encoding="utf-8"
    )


def damaged_parquet(folder: Path) -> None:
    path = write_tables(folder, ROWS) / "data/content_safety/train-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)


def a_file(folder: Path) -> None:
    folder.write_text("x", encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (empty, "holds no records"),
        (without_known_columns, "holds no records"),
        (broken_parquet, "cannot be read"),
        (missing_parquet, "is not there"),
        (damaged_parquet, "cannot be compared"),
        (a_file, "is a file"),
        (lambda folder: None, "is no folder"),
    ],
    ids=["empty", "no known columns", "broken", "missing", "damaged", "a file", "nothing"],
)
def test_what_cannot_be_compared_is_an_error_that_says_so(
    release: Path, tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "x")
    with pytest.raises(UsageError, match=said):
        diff(str(release), str(tmp_path / "x"))


def published_twice(hub: HubServer, tmp_path: Path) -> None:
    """o/n holds a release, tagged v1.0.0, and after it another with a row more."""
    repo = hub.add_repo("o/n", folder=make_release(tmp_path / "1", ROWS[CONTENT], ROWS[TOPIC], version="1.0.0"))
    repo.tags["v1.0.0"] = repo.branches["main"]
    second = make_release(tmp_path / "2", [*ROWS[CONTENT], content(3)], ROWS[TOPIC], version="1.1.0")
    files = {path.relative_to(second).as_posix(): path.read_bytes() for path in second.rglob("*") if path.is_file()}
    tree = {name: hub.blobs.add(data, name) for name, data in files.items()}
    repo.commit("main", tree, "Second", parent=repo.branches["main"])


def test_revisions_on_the_hub_are_compared_by_any_of_their_names(hub: HubServer, tmp_path: Path, run: Run) -> None:
    published_twice(hub, tmp_path)
    commit = hub.repo().tags["v1.0.0"]
    environment = online(hub, tmp_path / "hf")
    told = []
    for old in ("o/n@v1.0.0", "hf://datasets/o/n@v1.0.0", f"o/n@{commit}", tmp_path / "1" / "release"):
        done = run("diff", old, "o/n", "--json", "--samples", 0, env=environment)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["old"]["commit"] == (None if isinstance(old, Path) else commit)
        assert (found["old"]["version"], found["new"]["version"], found["next_version"]) == ("1.0.0", "1.1.0", "1.1.0")
        told.append(found["configs"])
    assert told == [told[0]] * len(told)
    assert told[0][0]["rows"]["added"] == 1
    fetched = {request.path.rpartition("/resolve/")[2] for request in hub.requests if "/resolve/" in request.path}
    assert not any(name.endswith(".jsonl") or "left_out" in name for name in fetched)


def test_a_branch_that_moved_is_not_taken_from_the_cache(hub: HubServer, tmp_path: Path, run: Run) -> None:
    published_twice(hub, tmp_path)
    environment = online(hub, tmp_path / "hf")
    assert "content_safety: 2 → 3 rows" in run("diff", "o/n@v1.0.0", "o/n", env=environment).stdout
    hub.repo().branches["main"] = hub.repo().tags["v1.0.0"]
    assert run("diff", "o/n@v1.0.0", "o/n", env=environment).stdout.splitlines()[-1] == "nothing changed"
    hub.plan(Fault("status", match=r"GET /api", status=403))
    done = run("diff", "o/n", tmp_path / "1" / "release", env=environment)
    assert done.returncode == 2
    assert "403" in done.stderr


def test_a_published_data_set_without_parquet_is_fetched_as_json_lines(
    hub: HubServer, tmp_path: Path, run: Run
) -> None:
    hub.add_repo("o/n", folder=write_lines(tmp_path / "lines", ROWS))
    done = run("diff", "o/n", write_tables(tmp_path / "tables", ROWS), env=online(hub, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:] == [
        *("content_safety: the same 2 rows", "topic_control: the same 1 row", "nothing changed")
    ]


def test_a_fault_that_passes_is_waited_for(hub: HubServer, tmp_path: Path, run: Run) -> None:
    published_twice(hub, tmp_path)
    hub.plan(Fault("status", at=0, status=503, headers={"Retry-After": "0"}), Fault("reset", at=1))
    done = run("diff", "o/n@v1.0.0", tmp_path / "1" / "release", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("named", "token", "said"),
    [
        ("o/other", STRANGER, "there is no o/other"),
        ("o/n@v9", STRANGER, "no such branch, tag or commit\nfix: look at its branches and tags"),
        ("o/private", STRANGER, "there is no o/private"),
        ("hf://models/o/n", READ_TOKEN, "something else on the Hub"),
        ("hf://datasets/o/n/data", READ_TOKEN, "something else on the Hub"),
        ("hf://datasets/n", READ_TOKEN, "no data set on the Hub"),
        ("https://example.com/x", READ_TOKEN, "no data set on the Hub"),
    ],
    ids=["no such repo", "no such revision", "private", "a model", "a folder of it", "no owner", "another site"],
)
def test_what_the_hub_does_not_give_is_an_error_without_the_token(
    hub: HubServer, tmp_path: Path, run: Run, named: str, token: str, said: str
) -> None:
    hub.tokens[STRANGER] = "stranger"
    hub.add_repo("o/n")
    hub.add_repo("o/private", private=True)
    environment: dict[str, Any] = online(hub, tmp_path / "hf") | {"HF_TOKEN": token}
    done = run("diff", named, write_tables(tmp_path / "tables", ROWS), env=environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert "--create" not in done.stderr
    assert "Traceback" not in done.stderr
    assert token not in done.stdout + done.stderr
