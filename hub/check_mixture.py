"""Whether a mixture may be published: every file as mixture.json states it, none beside them, and that it loads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safety_reasoning.builders.load_back import load_back
from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.hub.faults import detail
from safety_reasoning.hub.folder import visible_files
from safety_reasoning.train.mixture_read import read_mixture
from safety_reasoning.train.mixture_stated import STATED


def check_mixture(folder: Path) -> Mapping[str, int]:
    """Rows by config, once the mixture is found to be whole and to load.

    Raises: UsageError naming the file that is not as it should be.
    """
    from datasets.exceptions import DatasetsError

    stated = read_mixture(folder).stated
    try:
        _check_files(folder, stated)
        return load_back(folder.resolve(), dict(stated))
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{folder / STATED} is not a mixture's", why=detail(error), fix="make it again") from error
    except (OSError, ValueError, DatasetsError) as error:
        raise UsageError(f"load_dataset does not give {folder}", why=detail(error), fix="make it again") from error


def _check_files(folder: Path, stated: Mapping[str, Any]) -> None:
    hashes = {name: about["sha256"] for name, about in stated["files"].items()}
    for name, sha256 in hashes.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise UsageError(f"{folder / name} is not as {STATED} states it", fix="make the mixture again")
    for name in visible_files(folder):
        if name not in hashes and name != STATED:
            raise UsageError(
                f"{folder / name} is not of the mixture", why=f"{STATED} does not name it", fix="remove it"
            )
