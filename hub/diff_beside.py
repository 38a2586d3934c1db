"""What changed beside the rows and their schema: the manifest, the card, and files that are written anew."""

from collections.abc import Mapping
from typing import Any

from safety_reasoning.cards.render import CARD, without_version
from safety_reasoning.hub.reading import Side
from safety_reasoning.schemas.folder import MANIFEST

STAMPED = (CARD, "CHANGELOG.md", "croissant.json")
"""Files that a version alone changes; of the card the rest is compared."""
_OF_A_VERSION = {"version", "changes", "files", "configs"}
"""Parts of the manifest that a version alone changes; the files' hashes and the configs are compared one by one."""
_COUNTED = {"records", "statistics", "arrow_bytes", "parquet_bytes"}
"""What a config states that follows from its rows."""


def changes_beside(old: Side, new: Side, *, rows_differ: bool) -> list[str]:
    """What differs, by name: `README.md`, `manifest.json: keep`, a file's path. Sorted.

    Where rows or their schema differ, the card and the files of rows differ too, and are not named.
    """
    found = _manifest_parts(old.manifest, new.manifest)
    files = _files(old.manifest, new.manifest) + [CARD] * (_card(old) != _card(new))
    follow = _following(old.manifest) | _following(new.manifest) if rows_differ else set()
    return sorted(found + [name for name in files if name not in follow])


def _following(manifest: Mapping[str, Any] | None) -> set[str]:
    """The files that follow from the rows: the card with its counts, the records in both forms, what was left out."""
    configs = manifest["configs"].values() if manifest else ()
    names = {name for config in configs for name in (config["jsonl"], *config["parquet"], config.get("schema"))}
    aside = {name for name in (manifest["files"] if manifest else ()) if name.startswith("left_out/")}
    return names | aside | {CARD}


def _card(side: Side) -> str | None:
    text = side.text(CARD)
    return None if text is None else without_version(text)


def _manifest_parts(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[str]:
    if old is None or new is None:
        return [] if old is new else [MANIFEST]
    was, now = _parts(old), _parts(new)
    return [f"{MANIFEST}: {name}" for name in was.keys() | now.keys() if was.get(name) != now.get(name)]


def _parts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    configs = {
        f"configs.{name}": {key: value for key, value in config.items() if key not in _COUNTED}
        for name, config in manifest["configs"].items()
    }
    return {key: value for key, value in manifest.items() if key not in _OF_A_VERSION} | configs


def _files(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[str]:
    """Files of another content, by the hashes that the manifests state."""
    if old is None or new is None:
        return []
    was, now = old["files"], new["files"]
    return [name for name in was.keys() | now.keys() if name not in STAMPED and _hash(was, name) != _hash(now, name)]


def _hash(files: Mapping[str, Any], name: str) -> object:
    stated = files.get(name)
    return stated.get("sha256") if isinstance(stated, dict) else stated
