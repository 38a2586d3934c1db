"""Whether a mixture may be published: every file as mixture.json states it, none beside them, and that it loads."""

from collections.abc import Mapping
from pathlib import Path

from safety_reasoning.builders.load_back import load_back
from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.train.mixture_read import read_mixture


def check_mixture(folder: Path) -> Mapping[str, int]:
    """Rows by config, once the mixture is found to be whole and to load.

    Raises: UsageError naming the file that is not as it should be.
    """
    mixture = read_mixture(folder)
    for name, stated in mixture.stated["files"].items():
        if not (folder / name).is_file() or sha256_of(folder / name) != stated["sha256"]:
            raise UsageError(f"{folder / name} is not as mixture.json states it", fix="make the mixture again")
    return load_back(folder.resolve(), dict(mixture.stated))
