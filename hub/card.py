"""The metadata block of a card, and whether a release's card says what its files are."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from safety_reasoning.errors import UsageError

CARD = "README.md"


def card_metadata(folder: Path) -> Mapping[str, Any]:
    """The YAML block at the head of README.md.

    Raises: UsageError if there is none or it does not parse.
    """
    import yaml
    from huggingface_hub import metadata_load

    path = folder / CARD
    try:
        content = metadata_load(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"the metadata of {path} cannot be read", why=str(error).splitlines()[0]) from error
    if not content:
        raise UsageError(f"{path} has no metadata", why="the Hub reads a block of YAML between two lines of ---")
    return dict(content)


def check_card(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Hold the card's metadata against the manifest and the Parquet files: configs, files, columns, counts.

    Raises: UsageError naming the config and what differs.
    """
    from datasets import Features
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    try:
        data = DatasetCardData(**card_metadata(folder))
        infos, configs = DatasetInfosDict.from_dataset_card_data(data), MetadataConfigs.from_dataset_card_data(data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"the metadata of {folder / CARD} does not parse", why=str(error).splitlines()[0]) from error
    columns = {name: _kinds(info.features or {}) for name, info in infos.items()}
    counts = {name: {s.name: s.num_examples for s in (info.splits or {}).values()} for name, info in infos.items()}
    of_files = manifest["configs"]
    _same(folder, "configs", sorted(configs), sorted(of_files))
    _same(folder, "configs of dataset_info", sorted(infos), sorted(of_files))
    _same(folder, "default configs", sum(bool(config.get("default")) for config in configs.values()), 1)
    for name, config in of_files.items():
        _same(folder, f"data files of {name}", _matched(configs[name], manifest["files"]), sorted(config["parquet"]))
        types = Features.from_arrow_schema(pq.read_schema(folder / config["parquet"][0]))
        _same(folder, f"columns of {name}", columns[name], _kinds(types))
        _same(folder, f"records of {name}", counts[name], {"train": config["records"]})


def _matched(config: Mapping[str, Any], files: Mapping[str, Any]) -> list[str]:
    """The release's files that the config's patterns match."""
    patterns = [str(item.get("path")) for item in config.get("data_files", []) if isinstance(item, dict)]
    return sorted(name for name in files if any(fnmatchcase(name, pattern) for pattern in patterns))


def _kinds(features: Mapping[str, Any]) -> list[str]:
    """Name and type of each column, in order."""
    return [f"{name}: {kind}" for name, kind in features.items()]


def _same(folder: Path, what: str, card: Any, files: Any) -> None:
    if card == files:
        return
    if isinstance(card, list) and isinstance(files, list):
        card, files = [i for i in card if i not in files] or card, [i for i in files if i not in card] or files
    raise UsageError(
        f"{folder / CARD} does not say what the release holds",
        why=f"{what}: the card gives {card}, the files give {files}",
        fix="build the release again; the card is made from the manifest",
    )
