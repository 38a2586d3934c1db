"""What the Hub holds after a push: every hash compared, and the release loaded as its users load it."""

import tempfile
from collections.abc import Mapping
from typing import Any

import httpx2
import tenacity

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.connection import Connection
from safety_reasoning.hub.faults import Patience, detail
from safety_reasoning.hub.release import Release
from safety_reasoning.hub.remote import differences

_SHOWN = 5
_LOADS = 3
"""Each fetches a whole config; the library repeats single requests by itself."""


def compare_files(connection: Connection, revision: str, release: Release) -> None:
    """Hold the hash that the Hub states of every file against the file here.

    Raises: UsageError naming the files that differ.
    """
    told = differences(release.files, connection.tree(revision))
    if told:
        raise UsageError(
            f"{connection.repo} at {revision} is not the release: {len(told)} files differ",
            why="\n     ".join(told[:_SHOWN]),
            fix="a file changed while it was pushed, or the Hub keeps another one; build the release again and push "
            "again, which commits what differs",
        )


def load_from_hub(repo: str, revision: str, records: Mapping[str, int], patience: Patience) -> Mapping[str, int]:
    """Records by config as `load_dataset` gives them from a tag or a pull request.

    Raises: UsageError if one cannot be loaded or has another number of records than the release.
    """
    counts = {name: _count(repo, revision, name, patience) for name in records}
    for name, count in counts.items():
        if count != records[name]:
            raise UsageError(
                f"load_dataset gives {count} records of {name} from {repo} at {revision}, not {records[name]}",
                why="what the Hub gives is not what was pushed, though its hashes are the same",
                fix=f"push again to read it back once more; if it stays so, do not use {revision}",
            )
    return counts


def _count(repo: str, revision: str, config: str, patience: Patience) -> int:
    from datasets.exceptions import DatasetsError, SplitsVerificationError

    failures = (OSError, ValueError, httpx2.HTTPError, DatasetsError)

    def worth_it(error: BaseException) -> bool:
        return isinstance(error, failures) and not isinstance(error, SplitsVerificationError)  # that came as it is

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(worth_it),
        wait=tenacity.wait_exponential_jitter(patience.first_wait_s, patience.longest_wait_s),
        stop=tenacity.stop_after_attempt(min(patience.attempts, _LOADS)),
        reraise=True,
    )
    try:
        return attempts(_loaded, repo, config, revision)
    except failures as error:
        raise UsageError(
            f"load_dataset does not give {config} of {repo} at {revision}",
            why=f"{detail(error)} (the Hub states the right hash of every file)",
            fix=f"push again: nothing is uploaded, it is only read back; if it stays so, do not use {revision}",
        ) from error


def _loaded(repo: str, config: str, revision: str) -> int:
    """Fetched anew, in a cache of its own: copies of an earlier load would pass for what the Hub gives."""
    import datasets

    options: dict[str, Any] = {"split": "train", "revision": revision, "download_mode": "force_redownload"}
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(prefix="safety-reasoning-") as cache:
        return len(datasets.load_dataset(repo, config, cache_dir=cache, **options))
