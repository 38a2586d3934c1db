"""The Hub on loopback answers the real client as the real Hub does: what it refuses, what it keeps, what it says."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile, RepoFolder
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_server.repos import GITATTRIBUTES, git_hash
from tests.hub_server.server import READ_TOKEN, WRITE_TOKEN, HubServer

pytest_plugins = ["tests.hub_server.fixture"]
STRANGER = "hf_stranger_" + "s" * 22


@pytest.fixture
def api(hub: HubServer) -> HfApi:
    hub.tokens[STRANGER] = "stranger"
    return HfApi(endpoint=hub.url, token=WRITE_TOKEN)


def add(**files: str) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(name.replace("__", "/") + ".txt", text.encode()) for name, text in files.items()]


def commit(api: HfApi, *operations: CommitOperationAdd | CommitOperationDelete, **options: Any) -> str:
    """A commit to `o/n`; its hash."""
    made: Any = api.create_commit("o/n", operations, commit_message="m", repo_type="dataset", **options)
    return str(made.oid)


def test_a_new_repository_has_one_commit_with_the_hubs_own_file(hub: HubServer, api: HfApi) -> None:
    assert api.create_repo("o/n", repo_type="dataset", private=True).repo_id == "o/n"
    assert api.create_repo("o/n", repo_type="dataset", exist_ok=True).repo_id == "o/n"
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo("o/n", repo_type="dataset")
    assert refused.value.response.status_code == 409
    info = api.dataset_info("o/n", files_metadata=True)
    assert (info.private, info.gated, info.sha) == (True, False, hub.repo().branches["main"])
    assert [s.rfilename for s in info.siblings or ()] == [".gitattributes"]
    assert hub.files() == {".gitattributes": GITATTRIBUTES}
    api.update_repo_settings("o/n", gated="auto", repo_type="dataset")
    assert api.dataset_info("o/n").gated == "auto"


def test_a_commit_is_made_on_its_parent_or_not_at_all(hub: HubServer, api: HfApi) -> None:
    parent = hub.add_repo().branches["main"]
    head = commit(api, *add(a="1", b__c="2"), parent_commit=parent)
    with pytest.raises(HfHubHTTPError) as refused:
        commit(api, *add(a="3"), parent_commit=parent)
    assert refused.value.response.status_code == 412
    with pytest.raises(EntryNotFoundError):
        commit(api, CommitOperationDelete("gone.txt"))
    with pytest.raises(ValueError, match=r"Invalid metadata in README\.md"):
        commit(api, CommitOperationAdd("README.md", b"---\n[\n---\n"))
    with pytest.raises(RevisionNotFoundError):
        commit(api, *add(a="3"), revision="gone")
    assert hub.repo().branches["main"] == head
    gone = commit(api, CommitOperationDelete("b/"), parent_commit=head[:7])
    assert list(hub.files(gone)) == [".gitattributes", "a.txt"]
    assert [c.commit_id for c in api.list_repo_commits("o/n", repo_type="dataset")] == [gone, head, parent]


def test_files_that_are_unchanged_make_no_commit(hub: HubServer, api: HfApi) -> None:
    hub.add_repo()
    head = commit(api, *add(a="1"))
    assert commit(api, *add(a="1")) == head
    assert len(hub.repo().commits) == 2


def test_a_tree_is_listed_in_pages_with_the_hashes_of_its_files(start_hub: Callable[..., HubServer]) -> None:
    hub = start_hub(page=2)
    api = HfApi(endpoint=hub.url, token=WRITE_TOKEN)
    hub.add_repo()
    commit(api, *add(a="1", b__c="22", b__d__e="333"))
    listed = list(api.list_repo_tree("o/n", recursive=True, repo_type="dataset"))
    assert [entry.path for entry in listed if isinstance(entry, RepoFolder)] == ["b", "b/d"]
    files = {entry.path: (entry.size, entry.blob_id) for entry in listed if isinstance(entry, RepoFile)}
    assert files["b/d/e.txt"] == (3, git_hash(b"333"))
    assert sum("/tree/" in r.path for r in hub.requests) == 3
    found = api.get_paths_info("o/n", ["a.txt", "b", "gone"], repo_type="dataset")
    assert [entry.path for entry in found] == ["a.txt", "b"]
    flat = api.list_repo_tree("o/n", "b", repo_type="dataset", expand=True)
    assert sorted(entry.path for entry in flat) == ["b/c.txt", "b/d"]


def test_tags_and_branches_are_set_once_and_stay(hub: HubServer, api: HfApi) -> None:
    first = hub.add_repo().branches["main"]
    api.create_tag("o/n", tag="v1.0.0", repo_type="dataset")
    head = commit(api, *add(a="1"))
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_tag("o/n", tag="v1.0.0", revision=head, repo_type="dataset")
    assert refused.value.response.status_code == 409
    api.create_branch("o/n", branch="next", revision="v1.0.0", repo_type="dataset")
    refs = api.list_repo_refs("o/n", repo_type="dataset")
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": head, "next": first}
    assert {ref.ref: ref.target_commit for ref in refs.tags} == {"refs/tags/v1.0.0": first}
    assert api.dataset_info("o/n", revision="v1.0.0").sha == first


def test_a_pull_request_has_a_ref_of_its_own(hub: HubServer, api: HfApi) -> None:
    main = hub.add_repo().branches["main"]
    made = api.create_commit("o/n", add(a="1"), commit_message="m", repo_type="dataset", create_pr=True)
    assert made.pr_num == 1
    assert hub.repo().branches["main"] == main
    assert api.dataset_info("o/n", revision="refs/pr/1").sha == made.oid
    opened = list(api.get_repo_discussions("o/n", repo_type="dataset", discussion_status="open"))
    assert [(pull.num, pull.title, pull.is_pull_request) for pull in opened] == [(1, "m", True)]
    hub.repo().merge(1)
    assert not list(api.get_repo_discussions("o/n", repo_type="dataset", discussion_status="open"))
    assert "a.txt" in hub.files()


def test_a_file_is_given_with_the_headers_that_the_client_reads(hub: HubServer, api: HfApi, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    (tmp_path / "a.parquet").write_bytes(content)
    (tmp_path / "b.txt").write_bytes(b"text")
    head = hub.add_repo(folder=tmp_path).branches["main"]
    url = f"{hub.url}/datasets/o/n/resolve/main"
    large = api.get_hf_file_metadata(url=f"{url}/a.parquet")
    sha256 = hashlib.sha256(content).hexdigest()
    assert (large.commit_hash, large.etag, large.size) == (head, sha256, len(content))
    assert large.location.startswith(hub.storage.url)
    small = api.get_hf_file_metadata(url=f"{url}/b.txt")
    assert (small.commit_hash, small.etag, small.size) == (head, git_hash(b"text"), 4)
    part = httpx2.get(large.location, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(content)}"
    assert httpx2.get(large.location, headers={"Range": "bytes=9999-"}).status_code == 416
    assert httpx2.get(large.location.partition("?")[0]).status_code == 403
    with pytest.raises(EntryNotFoundError):
        api.get_hf_file_metadata(url=f"{url}/gone.txt")


@pytest.mark.parametrize(
    ("options", "token", "error"),
    [
        ({"private": True}, STRANGER, RepositoryNotFoundError),
        ({"private": True}, False, RepositoryNotFoundError),
        ({"gated": "manual"}, STRANGER, GatedRepoError),
        ({"gated": "manual"}, False, GatedRepoError),
        ({"gated": "manual"}, READ_TOKEN, None),
        ({"private": True}, READ_TOKEN, None),
        ({}, False, None),
    ],
    ids=[
        *("private, stranger", "private, no login", "gated, stranger", "gated, no login"),
        *("gated, reader", "private, reader", "public"),
    ],
)
def test_who_may_read_a_file(
    hub: HubServer, api: HfApi, options: dict[str, Any], token: str | bool, error: type[HfHubHTTPError] | None
) -> None:
    hub.add_repo(**options)
    url = f"{hub.url}/datasets/o/n/resolve/main/.gitattributes"
    if error is None:
        assert api.get_hf_file_metadata(url=url, token=token).size == len(GITATTRIBUTES)
    else:
        with pytest.raises(error):
            api.get_hf_file_metadata(url=url, token=token)


def test_who_may_write(hub: HubServer, api: HfApi) -> None:
    assert api.whoami()["auth"]["accessToken"]["role"] == "write"
    hub.add_repo()
    for token, status in ((READ_TOKEN, 403), (STRANGER, 403), ("hf_" + "n" * 34, 401)):
        with pytest.raises(HfHubHTTPError) as refused:
            api.create_tag("o/n", tag="v1.0.0", repo_type="dataset", token=token)
        assert refused.value.response.status_code == status
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo("somebody/n", repo_type="dataset")
    assert refused.value.response.status_code == 403


def test_the_same_name_may_be_a_model_and_a_data_set(hub: HubServer, api: HfApi) -> None:
    hub.add_repo()
    api.create_repo("o/n", private=True)
    api.create_commit("o/n", add(a="1"), commit_message="m")
    assert "a.txt" in hub.files(kind="model")
    assert "a.txt" not in hub.files()
    assert api.model_info("o/n").private is True
    assert api.get_hf_file_metadata(url=f"{hub.url}/o/n/resolve/main/a.txt").size == 1
