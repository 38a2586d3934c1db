"""One repository on the Hub, through `huggingface_hub`: each call with its retries, its faults in words.

The library tries uploads and listings again by itself; the calls that it makes once are tried again here. A call
whose answer was lost may have been carried out: a write is one that may be made twice, or it is looked up before it
is made again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import httpx2
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    GitRefs,
    HfApi,
    RepoFile,
    constants,
    hf_hub_url,
    set_client_factory,
)
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import default_client_factory, hf_raise_for_status, http_backoff

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.faults import Failure, Patience, in_words
from safety_reasoning.hub.folder import LocalFile
from safety_reasoning.hub.remote import Kind, RemoteFile, Tree, changes, same_files
from safety_reasoning.schemas.folder import MANIFEST

Operation = CommitOperationAdd | CommitOperationDelete
Gate = Literal["auto", "manual"]
Files = Mapping[str, LocalFile]
T = TypeVar("T")
_LIMITS = ("connect", "read", "write", "pool")


def set_time_limits(patience: Patience) -> None:
    """Let no connection of this process to the Hub wait for ever, as most of the library's would."""

    def limited(request: httpx2.Request) -> None:
        asked = request.extensions.get("timeout") or {}
        request.extensions["timeout"] = {name: asked.get(name) or patience.answer_s for name in _LIMITS}

    def client() -> httpx2.Client:
        made = default_client_factory()
        made.event_hooks = {**made.event_hooks, "request": [*made.event_hooks["request"], limited]}
        return made

    set_client_factory(client)


class Connection:
    """The calls that a push makes; every one raises UsageError if it fails for good."""

    def __init__(self, repo: str, kind: Kind, patience: Patience) -> None:
        self.repo = repo
        self.kind: Kind = kind
        self._patience = patience
        self._api = HfApi(library_name="safety-reasoning")

    def visibility(self) -> tuple[bool, str | None] | None:
        """(whether it is private, how it is gated) of the repository; None if there is none."""
        try:
            info: Any = self._again(lambda: self._api.repo_info(self.repo, repo_type=self.kind))
        except Failure as error:
            if isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError):
                return None
            raise self._told(error, f"looking at {self.repo}") from error
        return bool(info.private), info.gated or None

    def refs(self) -> GitRefs:
        """Branches and tags, and the heads of pull requests."""
        return self._call(
            f"listing the branches and tags of {self.repo}",
            lambda: self._api.list_repo_refs(self.repo, repo_type=self.kind, include_pull_requests=True),
        )

    def head(self, branch: str) -> str | None:
        """The commit of a branch; None if there is no such branch."""
        return next((ref.target_commit for ref in self.refs().branches if ref.name == branch), None)

    def tree(self, revision: str) -> Tree:
        """The files of a revision, by name."""

        def files() -> list[RepoFile]:
            listed = self._api.list_repo_tree(self.repo, recursive=True, revision=revision, repo_type=self.kind)
            return [entry for entry in listed if isinstance(entry, RepoFile)]

        found = self._call(f"listing the files of {self.repo}", files)
        return {f.path: RemoteFile(f.size, f.blob_id, f.lfs.sha256 if f.lfs else None) for f in found}

    def json(self, path: str, revision: str) -> dict[str, Any]:
        """The JSON object of a file; {} if it is not there or is something else."""

        def fetched() -> bytes:
            url = hf_hub_url(self.repo, path, repo_type=self.kind, revision=revision)
            answer = http_backoff("GET", url, headers=build_hf_headers())
            hf_raise_for_status(answer)
            return answer.content

        try:
            content = json.loads(self._again(fetched))
        except (EntryNotFoundError, ValueError, RecursionError):
            return {}
        except Failure as error:
            raise self._told(error, f"reading {path} of {self.repo}") from error
        return content if isinstance(content, dict) else {}

    def create(self, *, private: bool) -> None:
        """Make the repository; one that is there is left as it is."""
        self._call(
            f"making {self.repo}",
            lambda: self._api.create_repo(self.repo, repo_type=self.kind, private=private, exist_ok=True),
        )

    def gate(self, gate: Gate) -> None:
        """Let only those read the repository whom its owners let in."""
        self._call(
            f"gating {self.repo}",
            lambda: self._api.update_repo_settings(self.repo, gated=gate, repo_type=self.kind),
        )

    def branch(self, name: str, start: str) -> None:
        """Make a branch at a commit."""
        self._call(
            f"making the branch {name} of {self.repo}",
            lambda: self._api.create_branch(self.repo, branch=name, revision=start, repo_type=self.kind, exist_ok=True),
        )

    def upload(self, additions: Sequence[CommitOperationAdd], branch: str, *, as_pull: bool) -> None:
        """Send what goes to large-file storage and is not there yet; no branch changes by it."""
        try:
            self._api.preupload_lfs_files(
                self.repo, additions, repo_type=self.kind, revision=branch, create_pr=as_pull, free_memory=False
            )
        except Failure as error:
            raise self._told(error, f"uploading to {self.repo}") from error

    def commit(self, branch: str, operations: Sequence[Operation], files: Files, *, parent: str, title: str) -> str:
        """The commit that lets the branch hold the files, made on `parent` and on nothing else.

        Raises: UsageError if the branch has moved on meanwhile, with what changed there.
        """

        def made() -> str:
            try:
                return str(self._commit(branch, operations, parent, title).oid)
            except Failure:
                head = self.head(branch)
                if head is not None and head != parent:
                    return self._arrived(branch, head, files, parent)
                raise

        return self._call(f"committing to {branch} of {self.repo}", made)

    def open_pull(self, branch: str, operations: Sequence[Operation], files: Files, *, parent: str, title: str) -> str:
        """The ref of the pull request that asks the branch to hold the files."""

        def made() -> str:
            try:
                return f"refs/pr/{self._commit(branch, operations, parent, title, as_pull=True).pr_num}"
            except Failure:
                there = self.pull_of(files)
                if there is not None:
                    return there
                raise

        return self._call(f"opening a pull request on {self.repo}", made)

    def pull_of(self, files: Files) -> str | None:
        """The ref of an open pull request that holds the files already; None if there is none."""
        opened = self._call(
            f"listing the pull requests of {self.repo}",
            lambda: list(
                self._api.get_repo_discussions(
                    self.repo, repo_type=self.kind, discussion_type="pull_request", discussion_status="open"
                )
            ),
        )
        refs = [f"refs/pr/{pull.num}" for pull in opened]
        return next((ref for ref in refs if same_files(files, self.tree(ref))), None)

    def tag(self, tag: str, commit: str, files: Files) -> None:
        """Set a tag at a commit; one that is set at the same files is left where it is, and none is ever moved."""

        def made() -> None:
            try:
                self._api.create_tag(self.repo, tag=tag, revision=commit, repo_type=self.kind)
            except Failure:
                at = next((ref.target_commit for ref in self.refs().tags if ref.name == tag), None)
                if at is None:
                    raise
                if at != commit and not same_files(files, self.tree(at)):
                    raise UsageError(
                        f"somebody else set the tag {tag} of {self.repo} meanwhile, at other files",
                        why=f"the tag is at {at[:8]}, the release at {commit[:8]}; tags are never moved",
                        fix="give it the next version, then push again",
                    ) from None

        self._call(f"setting the tag {tag} of {self.repo}", made)

    def _commit(
        self, branch: str, operations: Sequence[Operation], parent: str, title: str, *, as_pull: bool = False
    ) -> Any:
        return self._api.create_commit(
            self.repo,
            operations,
            commit_message=title,
            repo_type=self.kind,
            revision=branch,
            parent_commit=parent,
            create_pr=as_pull,
        )

    def _arrived(self, branch: str, head: str, files: Files, parent: str) -> str:
        """The new head, if it holds the files: the answer was lost, the commit was not."""
        there = self.tree(head)
        if same_files(files, there):
            return head
        told = changes(self.tree(parent), there)
        more = [f"… and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
        raise UsageError(
            f"somebody else changed {branch} of {self.repo} meanwhile; nothing of this push is on it",
            why="\n     ".join([f"it went from {parent[:8]} to {head[:8]}:", *told[:_SHOWN], *more]),
            fix=f"look at it {self._where(head, files)}, then push again to go on: "
            "the plan will show what that replaces, and nothing is uploaded twice",
        )

    def _where(self, head: str, files: Files) -> str:
        """How a person sees what a commit holds beside the folder of these files."""
        if MANIFEST not in files:
            path = f"datasets/{self.repo}" if self.kind == "dataset" else self.repo
            return f"on the Hub ({constants.ENDPOINT}/{path}/commit/{head})"
        name, file = next(iter(files.items()))
        return f"with `safety-reasoning diff {self.repo}@{head} {str(file.path).removesuffix(name)}`"

    def _call(self, doing: str, call: Callable[[], T]) -> T:
        try:
            return self._again(call)
        except Failure as error:
            raise self._told(error, doing) from error

    def _again(self, call: Callable[[], T]) -> T:
        return self._patience.retrying()(call)

    def _told(self, error: BaseException, doing: str) -> UsageError:
        return in_words(error, self.repo, doing)


_SHOWN = 10
