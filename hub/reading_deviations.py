"""Where a published data set is not what its own card says: what a reader of the card would trip over."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from safety_reasoning.hub.rows import card_name
from safety_reasoning.schemas.columns import Task

_COUNT = re.compile(r"(?<![\d,.])(\d{1,3}(?:,\d{3})+|\d+)\s+(?:samples|records|rows|examples)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """A file of records as it was found."""

    name: str
    task: Task
    columns: tuple[str, ...]
    rows: int


def deviations(card: str, metadata: Mapping[str, Any], files: Sequence[PublishedFile]) -> list[str]:
    """One sentence each; [] where card and files agree."""
    return [*_mixed(metadata, files), *_names(files), *_counts(card, files)]


def _mixed(metadata: Mapping[str, Any], files: Sequence[PublishedFile]) -> Iterator[str]:
    """Configs whose files have different columns: `load_dataset` fails on them."""
    for name, patterns in _configs(metadata):
        found = [file for file in files if any(fnmatchcase(file.name, pattern) for pattern in patterns)]
        if len({frozenset(file.columns) for file in found}) > 1:
            told = " and ".join(file.name for file in found)
            yield f"config {name} has files of different columns, which load_dataset refuses: {told}"


def _configs(metadata: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """(name, patterns of its files) of every config in any of the forms that the Hub reads."""
    configs = metadata.get("configs")
    for config in configs if isinstance(configs, list) else []:
        if isinstance(config, dict):
            yield str(config.get("config_name", "default")), list(_patterns(config.get("data_files")))


def _patterns(data_files: object) -> Iterator[str]:
    if isinstance(data_files, str):
        yield data_files
    elif isinstance(data_files, list):
        for item in data_files:
            yield from _patterns(item)
    elif isinstance(data_files, dict):
        yield from _patterns(data_files.get("path"))


def _names(files: Sequence[PublishedFile]) -> Iterator[str]:
    """Columns that the card calls otherwise."""
    for file in files:
        for column in file.columns:
            if (name := card_name(column, file.task)) != column:
                yield f"{file.name} has the column {column}, which the card calls {name}"


def _counts(card: str, files: Sequence[PublishedFile]) -> Iterator[str]:
    """Numbers of samples in the card's text that are those of no file, nor of all files together."""
    rows = [file.rows for file in files]
    stated = sorted({int(number.replace(",", "")) for number in _COUNT.findall(card.replace("*", ""))}, reverse=True)
    for number in stated:
        if number not in (*rows, sum(rows)):
            held = ", ".join(f"{file.name} {file.rows}" for file in files)
            yield f"the card speaks of {number} samples, which is the count of no file: {held}"
