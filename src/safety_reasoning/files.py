"""Files that several rooms need: their hashes, and snapshots of the Hub."""

import hashlib
from pathlib import Path

from safety_reasoning.errors import UsageError


def sha256_of(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_snapshot(repo: str, revision: str, patterns: list[str]) -> Path:
    """The local copy of a Hub dataset at a revision, of the files that match.

    Raises: UsageError if it cannot be fetched, naming what to do about a gated one.
    """
    from httpx2 import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError

    try:
        folder = snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=patterns)
    except GatedRepoError as error:
        raise UsageError(
            f"dataset {repo} is gated",
            why="the Hub gives it only to accounts that accepted its terms",
            fix=f"accept them at https://huggingface.co/datasets/{repo} and log in with `hf auth login`",
        ) from error
    except (HfHubHTTPError, HTTPError, HFValidationError, OSError) as error:
        raise UsageError(
            f"dataset {repo} at revision {revision} could not be fetched",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}",
            fix="check the name, the revision, the login and the connection",
        ) from error
    return Path(folder)
