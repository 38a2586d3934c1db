"""Whether a release may be published: its records, its hashes, its card, and that it loads."""

import tempfile
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.card import check_card
from safety_reasoning.hub.check_mixture import check_mixture
from safety_reasoning.hub.faults import detail
from safety_reasoning.hub.folder import visible_files
from safety_reasoning.hub.release import read_json, statement_of
from safety_reasoning.schemas.features import features
from safety_reasoning.schemas.folder import MANIFEST, validate_folder

if TYPE_CHECKING:
    from datasets import Dataset

_SHOWN = 5
_BATCH = 1000


def check_dataset(folder: Path) -> Mapping[str, int]:
    """Records by config, once the release is found to be whole and to load in every form that it has.

    Raises: UsageError naming the file, and the line and the field where there is one.
    """
    if statement_of("dataset", visible_files(folder)) != MANIFEST:
        return check_mixture(folder)
    report = validate_folder(folder)
    if report.total:
        raise UsageError(
            f"the release {folder} does not validate: {report.total} violations",
            why="\n     ".join(str(violation) for violation in report.violations[:_SHOWN]),
            fix=f"see all of them with `safety-reasoning validate {folder}`, and build the release again",
        )
    manifest = read_json(folder / MANIFEST)
    check_card(folder, manifest)
    return _load_everything(folder, manifest)


def _load_everything(folder: Path, manifest: Mapping[str, Any]) -> Mapping[str, int]:
    """What `load_dataset` gives of each config, which its JSON Lines must give as well."""
    import datasets
    from datasets.exceptions import DatasetsError

    datasets.disable_progress_bars()
    counts = {}
    with tempfile.TemporaryDirectory(prefix="safety-reasoning-") as cache:
        for name, config in manifest["configs"].items():
            types = features(read_json(folder / config["schema"]))
            options: dict[str, Any] = {"split": "train", "cache_dir": cache}
            try:
                rows = datasets.load_dataset(str(folder.resolve()), name, **options)
                jsonl = str(folder / config["jsonl"])
                lines = datasets.load_dataset("json", data_files=jsonl, features=types, **options)
            except (OSError, ValueError, DatasetsError) as error:
                raise UsageError(
                    f"load_dataset does not give {name} of {folder}",
                    why=detail(error),
                    fix="build the release again",
                ) from error
            counts[name] = _same_records(folder, name, rows, lines)
            if counts[name] != config["records"]:
                raise UsageError(f"{name} has {counts[name]} records, the manifest says {config['records']}")
            del rows, lines  # their memory maps would outlive the folder
    return counts


def _same_records(folder: Path, name: str, rows: "Dataset", lines: "Dataset") -> int:
    """The number of records, which must be the same in both, one for one."""
    for number, pair in enumerate(zip_longest(_batches(rows), _batches(lines))):
        if None in pair or not pair[0].equals(pair[1]):
            raise UsageError(
                f"the Parquet files and the JSON Lines of {name} hold different records",
                why=f"they differ after record {number * _BATCH}",
                fix=f"build {folder} again",
            )
    return len(rows)


def _batches(records: "Dataset") -> Iterator[Any]:
    """Arrow tables of so many records."""
    return iter(records.with_format("arrow").iter(_BATCH))
