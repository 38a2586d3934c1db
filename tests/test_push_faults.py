"""A push against a Hub that fails: what passes is tried again, what does not is told, and the branch stays whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safety_reasoning.hub.faults import detail
from tests.conftest import Run
from tests.hub_server.client import online
from tests.hub_server.faults import Fault, Kind
from tests.hub_server.pusher import Pusher
from tests.hub_server.server import READ_TOKEN, WRITE_TOKEN, HubServer
from tests.hub_server.walk import EMPTY, held, with_own

pytest_plugins = ["tests.hub_server.fixture"]

TRIED_BY_US = (
    "GET /api/datasets/{}$",
    "/refs",
    "/repos/create",
    "/settings",
    "/branch/",
    "/validate-yaml",
    "/commit/",
    "/tag/",
)
TRIED_BY_THE_LIBRARY = (
    "{}/tree/",
    "{}/preupload/",
    "{}.git/info/lfs/objects/batch",
    "PUT /{}/",
    "{}.git/info/lfs/objects/verify",
)
PASSING: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "503 in HTML": {
        "kind": "status",
        "status": 503,
        "body": b"<html>down</html>",
        "headers": {"Content-Type": "text/html"},
    },
    "429 with Retry-After": {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
    "reset": {"kind": "reset"},
    "reset once it is done": {"kind": "reset_after"},
    "cut answer": {"kind": "cut_answer"},
    "cut upload": {"kind": "cut_upload"},
}


@pytest.mark.parametrize("name", PASSING)
def test_what_fails_once_at_every_call_that_the_library_makes_once_ends_well(
    pusher: Pusher, old_release: Path, name: str
) -> None:
    repo = "o/once-" + name.replace(" ", "-").lower()
    faults = [Fault(match=line.format(repo), **PASSING[name]) for line in TRIED_BY_US]
    pusher.hub.plan(*faults)
    done = pusher.push(old_release, repo, create=True, gate="auto", branch="next")
    assert done.returncode == 0, done.err
    assert [fault.match for fault in faults if not fault.hits] == []
    assert held(pusher, repo, "next") == [EMPTY, with_own(old_release)]
    assert pusher.hub.repo(repo).tags == {"v0.1.0": pusher.hub.repo(repo).branches["next"]}


def test_what_fails_once_at_every_call_that_the_library_repeats_ends_well(
    pusher: Pusher, old_release: Path, new_release: Path
) -> None:
    repos = {name: "o/repeated-" + name.replace(" ", "-").lower() for name in PASSING}
    for repo in repos.values():
        pusher.hub.add_repo(repo, private=True, folder=old_release)
    faults = [Fault(match=at.format(repos[name]), **PASSING[name]) for name in PASSING for at in TRIED_BY_THE_LIBRARY]
    pusher.hub.plan(*faults)
    running = {repo: pusher.start(new_release, repo) for repo in repos.values()}  # each waits a second at every fault
    for repo, push in running.items():
        done = push.wait()
        assert done.returncode == 0, done.err
        assert held(pusher, repo) == [EMPTY, with_own(old_release), with_own(new_release)]
    assert [fault.match for fault in faults if not fault.hits] == []


@pytest.mark.parametrize("kind", ["reset_after", "cut_answer"])
def test_a_commit_whose_answer_is_lost_is_found_and_not_made_again(
    pusher: Pusher, old_release: Path, kind: Kind
) -> None:
    repo = "o/lost-" + kind.replace("_", "-")
    pusher.hub.plan(Fault(kind, match="/commit/"))
    done = pusher.push(old_release, repo, create=True)
    assert done.returncode == 0, done.err
    assert sum("/commit/" in r.path for r in pusher.hub.since()) == 1
    assert held(pusher, repo) == [EMPTY, with_own(old_release)]


@pytest.mark.parametrize("kind", ["reset_after", "cut_answer"])
def test_a_pull_request_whose_answer_is_lost_is_found_and_not_opened_again(
    pusher: Pusher, old_release: Path, kind: Kind
) -> None:
    repo = "o/pull-" + kind.replace("_", "-")
    made = pusher.hub.add_repo(repo, private=True)
    pusher.hub.plan(Fault(kind, match="/commit/"))
    done = pusher.push(old_release, repo, as_pull=True)
    assert done.returncode == 0, done.err
    assert list(made.pulls) == [1]


def test_a_hub_that_does_not_answer_is_not_waited_for_for_ever(pusher: Pusher, old_release: Path) -> None:
    lines = ("GET /api/datasets/o/hanging$", "/o/hanging/tree/", "/preupload/", "PUT /o/hanging/", "/commit/", "/tag/")
    pusher.hub.plan(*(Fault("hang", match=line) for line in lines))
    done = pusher.push(old_release, "o/hanging", create=True, answer_s=0.5)
    assert done.returncode == 0, done.err
    assert [fault.match for fault in pusher.hub.faults.planned if not fault.hits] == []
    assert held(pusher, "o/hanging") == [EMPTY, with_own(old_release)]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "403": ({"status": 403}, "committing to main of {} failed", "this login may not do that (403"),
    "404": (
        {"status": 404, "headers": {"X-Error-Code": "RepoNotFound"}},
        "there is no {} that this login may see",
        "the Hub answered 404 while committing to main",
    ),
    "409": ({"status": 409}, "committing to main of {} failed", "the Hub sees a conflict"),
    "413": ({"status": 413}, "committing to main of {} failed", "the Hub finds it too large (413"),
    "429": (
        {"status": 429, "headers": {"Retry-After": "3600"}},
        "committing to main of {} failed",
        "too many requests (429: no); it asks to wait 3600 s",
    ),
    "500": ({"status": 500, "times": 9}, "committing to main of {} failed", "the Hub had a fault (500"),
    "reset": ({"kind": "reset", "times": 9}, "committing to main of {} failed", "fix: run the same command again"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_commit_that_is_refused_leaves_the_old_release_and_says_what_to_do(
    pusher: Pusher, old_release: Path, new_release: Path, name: str
) -> None:
    fault, what, why = REFUSED[name]
    repo = f"o/refused-{name}"
    pusher.hub.add_repo(repo, private=True, folder=old_release)
    pusher.hub.plan(Fault(**{"kind": "status", "match": "/commit/", "body": b'{"error": "no"}'} | fault))
    done = pusher.push(new_release, repo)
    assert done.returncode == 2
    assert what.format(repo) in done.err
    assert why in done.err
    assert "fix: " in done.err
    assert pusher.hub.files("main", repo) == with_own(old_release)
    pusher.hub.plan()
    done = pusher.push(new_release, repo)
    assert done.returncode == 0, done.err
    assert held(pusher, repo) == [EMPTY, with_own(old_release), with_own(new_release)]
    assert not [r for r in pusher.hub.since() if r.origin == "storage" and r.method == "PUT"]


def test_an_upload_that_is_refused_leaves_the_old_release_and_no_signed_address_in_what_is_said(
    run: Run, hub: HubServer, tmp_path: Path, old_release: Path, new_release: Path
) -> None:
    hub.add_repo(folder=old_release)
    hub.plan(Fault("status", match="PUT /o/n/", status=503), Fault("status", match="PUT /o/n/", status=413, times=9))
    done = run("push", new_release, "o/n", "--yes", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 2
    assert "Retrying in" in done.stderr  # the library says so, and names the address
    assert "the Hub's storage refused it (413" in done.stderr
    assert "Signature" not in done.stdout + done.stderr
    assert WRITE_TOKEN not in done.stdout + done.stderr
    assert hub.files() == with_own(old_release)


def test_what_is_said_of_an_error_holds_no_signed_address_and_no_token() -> None:
    told = detail(RuntimeError(f"PUT https://storage/a?X-Amz-Signature=abcdef failed\x1b[2J for {WRITE_TOKEN}"))
    assert told == "RuntimeError: PUT https://storage/a failed [2J for hf_…"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_" + "x" * 34, "the Hub does not know this login (401"),
        (READ_TOKEN, "this login may not do that (403"),
        ("", "there is no o/n that this login may see"),
    ],
    ids=["wrong", "read alone", "none"],
)
def test_a_login_that_may_not_push_is_told_and_not_shown(
    run: Run, hub: HubServer, tmp_path: Path, old_release: Path, token: str, said: str
) -> None:
    hub.add_repo(private=True)
    done = run("push", old_release, "o/n", "--yes", env=online(hub, tmp_path / "hf", HF_TOKEN=token))
    assert done.returncode == 2
    assert said in done.stderr
    assert not token or token not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert hub.files() == EMPTY


def test_a_hub_that_is_not_there_is_told(run: Run, hub: HubServer, tmp_path: Path, old_release: Path) -> None:
    env = online(hub, tmp_path / "hf", HF_HUB_OFFLINE="1")
    done = run("push", old_release, "o/n", "--yes", env=env)
    assert done.returncode == 2
    assert "why: HF_HUB_OFFLINE is set" in done.stderr
    done = run("push", old_release, "not a name", "--yes", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 2
    assert "'not a name' is not the name of a repository" in done.stderr


def swap(hub: HubServer, repo: str, name: str, content: bytes) -> Callable[[], None]:
    """Put another content in the place of a file of the newest commit, as a Hub would whose storage is broken."""

    def swapped() -> None:
        made = hub.repo(repo)
        made.commits[made.branches["main"]].tree[name] = hub.blobs.add(content, name)  # type: ignore[index]

    return swapped


def test_a_file_that_the_hub_keeps_otherwise_is_found_before_the_tag_is_set(pusher: Pusher, old_release: Path) -> None:
    pusher.hub.plan(Fault("call_after", match="/commit/", run=swap(pusher.hub, "o/broken", "README.md", b"# cut")))
    done = pusher.push(old_release, "o/broken", create=True)
    assert done.returncode == 2
    assert "is not the release: 1 files differ" in done.err
    assert "README.md has another content" in done.err
    assert "push again, which commits what differs" in done.err
    assert pusher.hub.repo("o/broken").tags == {}
    pusher.hub.plan()
    assert pusher.push(old_release, "o/broken").returncode == 0
    assert pusher.hub.files("v0.1.0", "o/broken") == with_own(old_release)


def with_fewer_rows(parquet: bytes) -> bytes:
    """A Parquet file of the same columns and the same size in bytes, with one row."""
    table = pq.read_table(pa.BufferReader(parquet)).slice(0, 1)

    def written(padding: int) -> bytes:
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, table.schema) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"padding": "x" * padding})
        return bytes(sink.getvalue())

    return written(len(parquet) - len(written(200)) + 200)


def test_a_tag_that_loads_other_records_than_the_release_is_an_error(pusher: Pusher, old_release: Path) -> None:
    content = (old_release / "data/content_safety/train-00000-of-00001.parquet").read_bytes()
    other = with_fewer_rows(content)
    assert len(other) == len(content)
    pusher.hub.plan(Fault("call_after", match="/tag/", run=lambda: pusher.hub.blobs.replace(content, other)))
    done = pusher.push(old_release, "o/other-rows", create=True)
    pusher.hub.blobs.replace(content, content)
    assert done.returncode == 2
    assert "error: load_dataset does not give content_safety of o/other-rows at v0.1.0" in done.err
    assert "NonMatchingSplitsSizesError" in done.err
    assert "do not use v0.1.0" in done.err
    pusher.hub.plan()
    again = pusher.push(old_release, "o/other-rows")

    assert again.returncode == 0, again.err


def test_stopping_the_command_with_control_c_is_no_traceback(hub: HubServer, tmp_path: Path, old_release: Path) -> None:
    hub.add_repo(private=True)
    slow = Fault("hold", match="/preupload/")
    hub.plan(slow)
    command = [sys.executable, "-m", "safety_reasoning.cli", "push", str(old_release), "o/n", "--yes"]
    env = os.environ | online(hub, tmp_path / "hf")
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert slow.reached.wait(60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        slow.let_go.set()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert hub.files() == EMPTY
