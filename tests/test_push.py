"""A push as it should go: the plan, one commit, the tag, the read-back; and again, and from two places at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, tree
from tests.hub_server.client import online
from tests.hub_server.faults import Fault, Request
from tests.hub_server.pusher import Pusher
from tests.hub_server.repos import GITATTRIBUTES
from tests.hub_server.server import WRITE_TOKEN, HubServer
from tests.hub_server.walk import EMPTY, held, with_own

pytest_plugins = ["tests.hub_server.fixture"]


def seeded(pusher: Pusher, repo: str, folder: Path, tag: str = "v0.1.0") -> str:
    """A private repository that holds a folder's files under a tag; its commit."""
    made = pusher.hub.add_repo(repo, private=True, folder=folder)
    made.tags[tag] = made.branches["main"]
    return made.branches["main"]


def writes(requests: list[Request]) -> list[str]:
    """Requests that may change what the Hub holds."""
    return [r.line for r in requests if r.method in ("POST", "PUT", "DELETE", "PATCH")]


def test_a_first_push_makes_a_private_repository_with_one_commit_a_tag_and_every_file(
    pusher: Pusher, old_release: Path
) -> None:
    pusher.hub.plan()
    done = pusher.push(old_release, "o/first", create=True)
    assert done.returncode == 0, done.err
    repo = pusher.hub.repo("o/first")
    assert repo.private
    assert held(pusher, "o/first") == [EMPTY, with_own(old_release)]
    assert repo.tags == {"v0.1.0": repo.branches["main"]}
    assert repo.commits[repo.branches["main"]].title == "Release v0.1.0"
    assert "'content_safety': 5, 'topic_control': 3" in done.out
    storage = [r for r in pusher.hub.since() if r.origin == "storage"]
    assert {r.method for r in storage} == {"PUT", "GET"}
    assert not any(r.authorized for r in storage)


def test_a_push_of_what_is_there_commits_and_uploads_nothing_and_reads_it_back(
    pusher: Pusher, old_release: Path
) -> None:
    commit = seeded(pusher, "o/there", old_release)
    pusher.hub.plan()
    done = pusher.push(old_release, "o/there")
    assert done.returncode == 0, done.err
    assert writes(pusher.hub.since()) == []
    assert pusher.hub.repo("o/there").branches["main"] == commit
    assert sum(".parquet" in r.path for r in pusher.hub.since()) == 2
    assert "committed=False" in done.out


def test_a_push_over_an_older_release_sends_what_changed_and_deletes_what_is_gone(
    pusher: Pusher, old_release: Path, new_release: Path
) -> None:
    first = seeded(pusher, "o/newer", old_release)
    pusher.hub.plan()
    done = pusher.push(new_release, "o/newer")
    assert done.returncode == 0, done.err
    repo = pusher.hub.repo("o/newer")
    assert repo.commits[repo.branches["main"]].parent == first
    assert pusher.hub.files("main", "o/newer") == with_own(new_release)
    assert repo.tags == {"v0.1.0": first, "v0.2.0": repo.branches["main"]}
    old, new = tree(old_release), tree(new_release)
    changed = {name for name in new if old.get(name) != new[name]}
    assert changed < set(new)
    assert set(old) - set(new)
    sent = pusher.hub.uploaded_bytes()
    assert sent < sum(len(new[name]) for name in changed) * 4 / 3 + 4000  # a commit carries regular files as base64


def test_a_commit_whose_tag_is_missing_is_only_tagged_and_read_back(pusher: Pusher, old_release: Path) -> None:
    seeded(pusher, "o/untagged", old_release)
    pusher.hub.repo("o/untagged").tags.clear()
    commit = pusher.hub.repo("o/untagged").branches["main"]
    pusher.hub.plan()
    done = pusher.push(old_release, "o/untagged")
    assert done.returncode == 0, done.err
    assert writes(pusher.hub.since()) == [f"POST /api/datasets/o/untagged/tag/{commit}"]
    assert pusher.hub.repo("o/untagged").tags == {"v0.1.0": commit}


def test_a_tag_on_another_content_stops_the_push_and_names_the_next_step(
    pusher: Pusher, old_release: Path, new_release: Path
) -> None:
    commit = seeded(pusher, "o/tagged", old_release, tag="v0.2.0")
    pusher.hub.plan()
    done = pusher.push(new_release, "o/tagged")
    assert done.returncode == 2
    assert "o/tagged has a v0.2.0 already, with another content" in done.err
    assert "README.md has another content" in done.err
    assert f"fix: give the release its next version: safety-reasoning bump {new_release} o/tagged" in done.err
    assert writes(pusher.hub.since()) == []
    assert pusher.hub.repo("o/tagged").tags == {"v0.2.0": commit}


def test_a_branch_does_not_go_back_to_an_older_version(pusher: Pusher, old_release: Path, new_release: Path) -> None:
    seeded(pusher, "o/ahead", new_release, tag="v0.2.0")
    done = pusher.push(old_release, "o/ahead")
    assert done.returncode == 2
    assert "main of o/ahead is at v0.2.0 already, this is v0.1.0" in done.err


def test_files_that_no_release_put_there_are_not_deleted_unless_it_is_said(
    pusher: Pusher, tmp_path: Path, old_release: Path
) -> None:
    name = "thesis\x1b[2J\u202e.txt"
    (tmp_path / name).write_text("years of work", encoding="utf-8")
    pusher.hub.add_repo("o/foreign", private=True, folder=tmp_path)
    done = pusher.push(old_release, "o/foreign")
    assert done.returncode == 2
    assert r"would delete thesis\u001b[2J\u202e.txt" in done.err
    assert name in pusher.hub.files("main", "o/foreign")
    assert pusher.push(old_release, "o/foreign", delete_others=True).returncode == 0
    assert pusher.hub.files("main", "o/foreign") == with_own(old_release)


@pytest.mark.parametrize(
    "manifest", ["[]", "{", '{"files": [], "version": 1}', '{"version": "' + "9" * 5000 + '.0.0"}', "[" * 100_000]
)
def test_a_manifest_on_the_hub_may_hold_anything(
    pusher: Pusher, tmp_path: Path, old_release: Path, manifest: str
) -> None:
    (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")
    (tmp_path / "other.txt").write_text("x", encoding="utf-8")
    repo = f"o/hostile-{len(manifest)}"
    pusher.hub.add_repo(repo, private=True, folder=tmp_path)
    done = pusher.push(old_release, repo)
    assert done.returncode == 2
    assert "holds 1 files that no release put there" in done.err


def test_a_repository_with_a_gitignore_is_refused(pusher: Pusher, tmp_path: Path, old_release: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.jsonl\n", encoding="utf-8")
    pusher.hub.add_repo("o/ignoring", private=True, folder=tmp_path)
    done = pusher.push(old_release, "o/ignoring", delete_others=True)
    assert done.returncode == 2
    assert "o/ignoring has a .gitignore" in done.err


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (False, {"private": True}, "o/{} is public, not private"),
        (True, {"private": False}, "o/{} is private, not public"),
        (None, {}, "there is no o/{} that this login may see"),
    ],
    ids=["public is not made private", "private is not made public", "a name that is wrong makes no repository"],
)
def test_a_repository_is_used_as_it_was_asked_for_or_not_at_all(
    pusher: Pusher, old_release: Path, there: bool | None, asked: dict[str, bool], said: str
) -> None:
    name = f"seen-{there}".lower()
    if there is not None:
        pusher.hub.add_repo(f"o/{name}", private=there)
    pusher.hub.plan()
    done = pusher.push(old_release, f"o/{name}", **asked)
    assert done.returncode == 2
    assert said.format(name) in done.err
    assert writes(pusher.hub.since()) == []


def test_a_gated_repository_is_gated_before_it_holds_anything(pusher: Pusher, old_release: Path) -> None:
    pusher.hub.plan()
    done = pusher.push(old_release, "o/gated", create=True, private=False, gate="manual")
    assert done.returncode == 0, done.err
    repo = pusher.hub.repo("o/gated")
    assert (repo.private, repo.gated) == (False, "manual")
    lines = writes(pusher.hub.since())
    gating = lines.index("PUT /api/datasets/o/gated/settings")
    assert lines[:gating] == ["POST /api/repos/create"]


def test_a_gate_alone_is_told_and_set(run: Run, hub: HubServer, tmp_path: Path, old_release: Path) -> None:
    repo = hub.add_repo("o/n", private=True, folder=old_release)
    repo.tags["v0.1.0"] = repo.branches["main"]
    for already in (False, True):
        done = run("push", old_release, "o/n", "--gated", "auto", "--yes", env=online(hub, tmp_path / "hf"))
        assert done.returncode == 0, done.stderr
        assert ("all of it is there already" in done.stdout) is already
        assert repo.gated == "auto"


def test_a_new_branch_begins_at_main_and_main_stays(pusher: Pusher, old_release: Path, new_release: Path) -> None:
    main = seeded(pusher, "o/branched", old_release)
    done = pusher.push(new_release, "o/branched", branch="next")
    assert done.returncode == 0, done.err
    repo = pusher.hub.repo("o/branched")
    assert repo.branches["main"] == main
    assert pusher.hub.files("next", "o/branched") == with_own(new_release)
    assert repo.commits[repo.branches["next"]].parent == main
    done = pusher.push(new_release, "o/branched", branch="v0.1.0")
    assert "v0.1.0 is a tag" in done.err


@pytest.mark.parametrize(
    ("repo", "branch", "said"),
    [
        ("n", "main", "'n' is not the name of a repository"),
        ("hf://datasets/o/n", "main", "'hf://datasets/o/n' is not the name of a repository"),
        ("o/n", "v1.0.0", "v1.0.0 is a tag"),
        ("o/n", "", "'' is not the name of a branch"),
        ("o/n", "two words", "'two words' is not the name of a branch"),
        ("o/n", "a..b", "'a..b' is not the name of a branch"),
        ("o/n", "a/", "'a/' is not the name of a branch"),
        ("o/n", "refs/pr/1", "'refs/pr/1' is not the name of a branch"),
        ("o/n", "0" * 40, f"'{'0' * 40}' is not the name of a branch"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_the_hub_is_asked(
    pusher: Pusher, old_release: Path, repo: str, branch: str, said: str
) -> None:
    pusher.hub.plan()
    done = pusher.push(old_release, repo, branch=branch, create=True)
    assert done.returncode == 2
    assert said in done.err
    assert "fix: give " in done.err
    assert pusher.hub.since() == []


def test_a_pull_request_leaves_the_branch_alone_and_the_tag_follows_its_merge(
    pusher: Pusher, old_release: Path, new_release: Path
) -> None:
    main = seeded(pusher, "o/pulled", old_release)
    repo = pusher.hub.repo("o/pulled")
    for _ in range(2):  # the second finds the first one's
        pusher.hub.plan()
        done = pusher.push(new_release, "o/pulled", as_pull=True)
        assert done.returncode == 0, done.err
        assert (repo.branches["main"], sorted(repo.tags), sorted(repo.pulls)) == (main, ["v0.1.0"], [1])
        assert pusher.hub.files("refs/pr/1", "o/pulled") == with_own(new_release)
        assert "Pushed(commit='refs/pr/1', committed=True, tag=None, records={'content_safety': 6})" in done.out
        fetched = [r.path for r in pusher.hub.since() if r.path.endswith(".parquet") and "/resolve/" in r.path]
        assert [path.split("/resolve/")[1].split("/")[0] for path in fetched] == [repo.branches["refs/pr/1"]]
    merged = repo.merge(1)
    done = pusher.push(new_release, "o/pulled")
    assert done.returncode == 0, done.err
    assert repo.tags["v0.2.0"] == merged.oid


def test_somebody_elses_commit_in_between_stops_the_push_and_says_what_it_was(
    pusher: Pusher, old_release: Path, new_release: Path
) -> None:
    parent = seeded(pusher, "o/contested", old_release)
    repo = pusher.hub.repo("o/contested")

    def interfere() -> None:
        files = dict(repo.commits[parent].tree)
        files["README.md"] = pusher.hub.blobs.add(b"---\nlicense: mit\n---\nanother card\n", "README.md")
        files["notes.txt"] = pusher.hub.blobs.add(b"mind the gap", "notes.txt")
        repo.commit("main", files, "by hand", parent=parent)

    pusher.hub.plan(Fault("call_after", match="/preupload/", run=interfere))
    done = pusher.push(new_release, "o/contested")
    assert done.returncode == 2
    theirs = repo.branches["main"]
    assert "somebody else changed main of o/contested meanwhile; nothing of this push is on it" in done.err
    assert "README.md was changed" in done.err
    assert "notes.txt was added" in done.err
    assert f"safety-reasoning diff o/contested@{theirs} {new_release}/`, then push again" in done.err
    assert repo.commits[theirs].title == "by hand"
    assert "v0.2.0" not in repo.tags
    pusher.hub.plan()
    done = pusher.push(new_release, "o/contested", delete_others=True)
    assert done.returncode == 0, done.err
    assert pusher.hub.files("main", "o/contested") == with_own(new_release)
    assert not [r for r in pusher.hub.since() if r.origin == "storage" and r.method == "PUT"]


@pytest.mark.parametrize("same", [False, True], ids=["two releases", "one release"])
def test_of_two_pushes_at_once_one_wins_and_the_other_is_told(
    pusher: Pusher, old_release: Path, new_release: Path, same: bool
) -> None:
    name = f"o/raced-{same}".lower()
    pusher.hub.add_repo(name, private=True)
    slow = Fault("hold", match=rf"{name}/commit/")
    pusher.hub.plan(slow)
    first = pusher.start(old_release, name)
    assert slow.reached.wait(60)
    second = pusher.push(old_release if same else new_release, name)
    slow.let_go.set()
    told = first.wait()
    assert second.returncode == 0, second.err
    assert told.returncode == (0 if same else 2), told.err
    winner = old_release if same else new_release
    assert held(pusher, name) == [EMPTY, with_own(winner)]
    assert same or "somebody else changed main" in told.err
    assert sorted(pusher.hub.repo(name).tags) == ["v0.1.0" if same else "v0.2.0"]


def test_the_command_shows_its_plan_and_a_dry_run_writes_nothing(
    run: Run, hub: HubServer, tmp_path: Path, old_release: Path
) -> None:
    done = run("push", old_release, "o/n", "--create", "--dry-run", env=online(hub, tmp_path / "hf"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["o/n: a new repository, dataset, private", "  nothing → v0.1.0, on main"]
    for name, content in tree(old_release).items():
        assert f"  add    {name} ({len(content) / 1000:.3g} kB)" in done.stdout
    assert done.stdout.endswith("  tag    v0.1.0\n")
    assert writes(hub.requests) == []


def test_the_command_pushes_and_says_how_to_load(run: Run, hub: HubServer, tmp_path: Path, old_release: Path) -> None:
    env = online(hub, tmp_path / "hf")
    done = run("push", old_release, "o/n", "--create", "--yes", env=env)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()[-1]
    assert said == '  from datasets import load_dataset; records = load_dataset("o/n", revision="v0.1.0")'
    script = said.strip() + "; print({name: len(split) for name, split in records.items()})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | env, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "{'train': 5}"
    again = run("push", old_release, "o/n", "--yes", "--json", env=env)
    assert again.returncode == 0, again.stderr
    document = json.loads(again.stdout)
    assert document["pushed"]["committed"] is False
    assert document["pushed"]["records"] == {"content_safety": 5, "topic_control": 3}


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)], ids=["yes", "no"])
def test_the_command_asks_at_a_terminal(
    hub: HubServer, tmp_path: Path, old_release: Path, answer: str, code: int
) -> None:
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    done = subprocess.run(
        [sys.executable, "-m", "safety_reasoning.cli", "push", str(old_release), "o/n", "--create"],
        stdin=theirs,
        capture_output=True,
        text=True,
        env=os.environ | online(hub, tmp_path / "hf"),
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "Push this?" in done.stderr
    assert bool(hub.repos) == (code == 0)


def test_where_nobody_can_be_asked_nothing_is_pushed(
    run: Run, hub: HubServer, tmp_path: Path, old_release: Path
) -> None:
    done = run("push", old_release, "o/n", "--create", env=online(hub, tmp_path / "hf"), stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "fix: say --yes to push without asking" in done.stderr
    assert writes(hub.requests) == []


def test_what_the_hub_puts_into_a_new_repository_stays(pusher: Pusher, old_release: Path) -> None:
    assert pusher.push(old_release, "o/attributes", create=True).returncode == 0
    assert pusher.hub.files("main", "o/attributes")[".gitattributes"] == GITATTRIBUTES


def test_the_token_is_in_no_argument_of_the_process(pusher: Pusher, old_release: Path, tmp_path: Path) -> None:
    slow = Fault("hold", match="/o/listed")
    pusher.hub.plan(slow)
    command = [sys.executable, "-m", "safety_reasoning.cli", "push", str(old_release), "o/listed", "--create", "--yes"]
    env = os.environ | online(pusher.hub, tmp_path / "hf")
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert slow.reached.wait(60)
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        slow.let_go.set()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert WRITE_TOKEN.encode() not in listed
    assert WRITE_TOKEN not in out + err
