"""Where a release is read from: a folder, or a revision of a data set on the Hub, which is fetched."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from safety_reasoning.errors import UsageError
from safety_reasoning.files import fetch_snapshot

_HUB = "hf://datasets/"
_COMMIT = re.compile(r"[0-9a-f]{40}")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class HubPlace:
    """A data set on the Hub at one commit."""

    repo: str
    revision: str
    """As it was named: a branch, a tag or a commit."""
    commit: str

    def fetch(self, patterns: Sequence[str]) -> Path:
        """The local folder with those files of the commit that match."""
        return fetch_snapshot(self.repo, self.commit, list(patterns))

    def tags(self) -> list[str]:
        """Every tag of the repository."""
        from huggingface_hub import HfApi

        refs = _asked(self.repo, lambda: HfApi().list_repo_refs(self.repo, repo_type="dataset"))
        return [ref.name for ref in refs.tags]


Place = Path | HubPlace


def find_place(named: str) -> Place:
    """The folder of that name, or else the data set `OWNER/NAME[@REVISION]`, with or without `hf://datasets/`.

    Raises: UsageError if it is neither.
    """
    if "://" not in named and Path(named).exists():
        if not Path(named).is_dir():
            raise UsageError(f"{named} is a file", fix="name the folder that it lies in, or a data set on the Hub")
        return Path(named)
    repo, revision = _on_the_hub(named)
    try:
        return HubPlace(repo, revision, _commit(repo, revision))
    except UsageError as error:
        raise UsageError(f"{named} is no folder here, and {error.what}", why=error.why, fix=error.fix) from error


def _on_the_hub(named: str) -> tuple[str, str]:
    from huggingface_hub import parse_hf_uri
    from huggingface_hub.errors import HfUriError

    try:
        uri = parse_hf_uri(named if "://" in named else _HUB + named)
        if uri.type != "dataset" or uri.path_in_repo:
            raise ValueError("it names something else on the Hub than a data set")
    except (HfUriError, ValueError) as error:
        raise UsageError(
            f"{named} is no folder that is there, and no data set on the Hub",
            why=str(error).splitlines()[0],
            fix="name a folder, OWNER/NAME, OWNER/NAME@REVISION or hf://datasets/OWNER/NAME@REVISION",
        ) from error
    return uri.id, uri.revision or "main"


def _commit(repo: str, revision: str) -> str:
    """The commit that the revision names now: what a cache remembers of a branch may be old."""
    if _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    return str(_asked(repo, lambda: HfApi().dataset_info(repo, revision=revision)).sha)


def _asked(repo: str, call: Callable[[], Answer]) -> Answer:
    """The Hub's answer, asked for again where its fault may pass.

    Raises: UsageError saying what to do where it does not.
    """
    from safety_reasoning.hub.faults import Failure, Patience, in_words

    try:
        return Patience().retrying()(call)
    except Failure as error:
        raise in_words(error, repo, f"reading dataset {repo}") from error
