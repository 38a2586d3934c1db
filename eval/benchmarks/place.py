"""Where a benchmark's file is: given on this machine, or fetched from the Hub at the declared revision."""

from dataclasses import dataclass
from pathlib import Path

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.declaration import Source


@dataclass(frozen=True, slots=True)
class Place:
    """A benchmark's file."""

    path: Path
    said: str
    """What a run states of where it came from: no path of this machine."""
    revision: str | None
    """The commit of the Hub; None for a local file, which its hash identifies."""


def find(name: str, source: Source, place: Path | str | None) -> Place:
    """The file: `place` itself, the one of its name in the folder `place`, or without `place` the Hub's.

    Raises: UsageError if it is not there, or the Hub does not give it.
    """
    if place is None:
        return _hub(name, source)
    path = _local(name, source, Path(place))
    return Place(path, f"local file {path.name}", None)


def _local(name: str, source: Source, place: Path) -> Path:
    if place.is_file():
        return place
    if not place.exists():
        raise UsageError(f"{place} does not exist", fix=f"give {name} its file, or a folder that holds {source.file}")
    basename = source.file.rpartition("/")[2]
    candidates = (place / source.file, place / basename, place / basename.removesuffix(".gz"))
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise UsageError(f"{place} holds no {source.file}", fix=f"get it from {source.page}, or name the file itself")
    return found


def _hub(name: str, source: Source) -> Place:
    if not source.repo:
        raise UsageError(
            f"{name} is not on the Hub",
            why=f"upstream publishes it at {source.url}",
            fix=f"download it and give its file: curl -LO {source.url}",
        )
    path = _fetched(name, source)
    commit = path.parents[source.file.count("/")].name  # the cache's layout: …/snapshots/COMMIT/FILE
    return Place(path, f"{source.repo}/{source.file}", commit)


def _fetched(name: str, source: Source) -> Path:
    from httpx2 import HTTPError
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HFValidationError

    try:
        fetched = hf_hub_download(source.repo, source.file, repo_type="dataset", revision=source.revision or None)
    except GatedRepoError as error:
        raise UsageError(
            f"{name} needs access to {source.repo}, which is gated",
            why="the Hub gives it only to accounts that its owners let in",
            fix=f"ask at {source.page}, log in with `hf auth login`, or give a file that you have",
        ) from error
    except (OSError, HTTPError, HFValidationError, EntryNotFoundError) as error:
        raise UsageError(
            f"{source.file} of {source.repo} at {source.revision or 'main'} could not be fetched",
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}",
            fix=f"look at {source.page}, check login and connection, or give a file that you have",
        ) from error
    return Path(fetched)
