"""Validate a release folder, a file of records, or a dataset on the Hub."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.files import fetch_snapshot, sha256_of
from safety_reasoning.schemas.columns import JSONL_FILE, Naming
from safety_reasoning.schemas.validate import Report, Violation, validate_file

MANIFEST = "manifest.json"
_HUB = "hf://datasets/"


def validate(path: str, *, limit: int = 100, naming: Naming = "card") -> Report:
    """What is wrong with a JSONL or Parquet file, a folder, or `hf://datasets/OWNER/NAME[@REVISION]`.

    Raises: UsageError if the path cannot be read or holds no records.
    """
    if path.startswith(_HUB):
        return validate_folder(_fetched(path.removeprefix(_HUB)), limit=limit, naming=naming)
    found = Path(path)
    if found.is_dir():
        return validate_folder(found, limit=limit, naming=naming)
    if not found.is_file():
        raise UsageError(f"{path} does not exist", fix="name a file, a release folder or hf://datasets/OWNER/NAME")
    report = Report(limit)
    validate_file(found, report, name=path, naming=naming)
    return report


def _fetched(reference: str) -> Path:
    repo, _, revision = reference.partition("@")
    return fetch_snapshot(repo, revision or "main", ["*.jsonl", "*.parquet", "*.json", "*.md"])


def validate_folder(folder: Path, *, limit: int = 100, naming: Naming = "card") -> Report:
    """What is wrong with a folder: with its manifest a release, without one the files of records in it.

    Raises: UsageError if the folder holds no records or its manifest does not parse.
    """
    report = Report(limit)
    if (folder / MANIFEST).is_file():
        _validate_release(folder, report)
        return report
    names = [name for name in JSONL_FILE.values() if (folder / name).is_file()]
    names += [p.relative_to(folder).as_posix() for p in sorted(folder.glob("data/**/*.parquet"))]
    if not names:
        raise UsageError(
            f"{folder} holds no records",
            why=f"expected {MANIFEST}, {' or '.join(JSONL_FILE.values())}, or data/**/*.parquet",
        )
    for name in names:
        validate_file(folder / name, report, name=name, naming=naming)
    return report


def _validate_release(folder: Path, report: Report) -> None:
    manifest = _manifest(folder)
    _check_files(folder, manifest, report)
    naming: Naming = manifest["columns"]
    for config in manifest["configs"].values():
        for name in (config["jsonl"], *config["parquet"]):
            if not (folder / name).is_file():
                continue  # _check_files said so
            validate_file(folder / name, report, name=name, naming=naming)
            if report.records[name] != config["records"]:
                report.add(Violation(name, 0, "", f"{config['records']} records, as the manifest says"))


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"configs", "files", "columns"} <= manifest.keys():
            raise ValueError("it lacks configs, files or columns")
        _check_names(manifest)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError, OSError) as error:
        raise UsageError(
            f"{path} is not a release's manifest", why=str(error), fix="build or fetch the release again"
        ) from error
    return manifest


def _check_names(manifest: dict[str, Any]) -> None:
    """Raise if the manifest has another shape than ours, or names a file outside its folder."""
    configs = manifest["configs"].values()
    names = [name for config in configs for name in (config["jsonl"], config["schema"], *config["parquet"])]
    stated = [(config["records"], config["jsonl"]) for config in configs]
    stated += [(item["sha256"], name) for name, item in manifest["files"].items()]
    if manifest["columns"] not in ("card", "published"):
        raise ValueError("columns is neither card nor published")
    for path in map(PurePosixPath, [*names, *(name for _, name in stated)]):
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("it names a file outside its folder")


def _check_files(folder: Path, manifest: dict[str, Any], report: Report) -> None:
    for name, stated in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            report.add(Violation(name, 0, "", "the file to be there, as the manifest says"))
        elif sha256_of(path) != stated["sha256"]:
            report.add(Violation(name, 0, "", f"sha256 {stated['sha256']}, as the manifest says"))
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    for name in sorted(there - manifest["files"].keys() - {MANIFEST}):
        if not any(part.startswith(".") for part in PurePosixPath(name).parts):
            report.add(Violation(name, 0, "", "no such file: the manifest does not name it"))
