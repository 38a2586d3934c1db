"""Load a release back the way its users do, and count."""

import tempfile
from pathlib import Path

from safety_reasoning.builders.manifest import Manifest
from safety_reasoning.errors import UsageError


def load_back(out: Path, manifest: Manifest) -> dict[str, int]:
    """Records by config, as `load_dataset` gives them from the folder.

    Raises: UsageError if a config gives another number than the manifest states.
    """
    import datasets

    datasets.disable_progress_bars()
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="safety-reasoning-") as cache:
        for name, config in manifest["configs"].items():
            loaded = datasets.load_dataset(str(out), name, split="train", cache_dir=cache)
            counts[name] = len(loaded)
            del loaded  # its memory map would outlive the folder
            if counts[name] != config["records"]:
                raise UsageError(
                    f"load_dataset gives {counts[name]} records of {name}, the manifest says {config['records']}",
                    why="the files and the card disagree",
                    fix=f"remove {out} and run again",
                )
    return counts
