"""Stamp a release with its version: manifest, card, CHANGELOG.md and croissant.json, in one step.

What is written follows from the release, the old side and the given date alone, so doing it again changes nothing.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import UndefinedError

from safety_reasoning.cards.croissant import CROISSANT, croissant
from safety_reasoning.cards.render import CARD, render_card
from safety_reasoning.errors import UsageError
from safety_reasoning.files import sha256_of
from safety_reasoning.hub.changelog import CHANGELOG, changelog, entries_of
from safety_reasoning.hub.changelog_notes import Notes, first_notes, notes
from safety_reasoning.hub.diff import Diff, compare
from safety_reasoning.hub.faults import detail
from safety_reasoning.hub.reading import Side, opened, read_manifest
from safety_reasoning.hub.reading_place import HubPlace, Place, find_place
from safety_reasoning.hub.versions import Version, versions_of_tags
from safety_reasoning.hub.versions_next import first_version, next_version, parsed
from safety_reasoning.place import replaced
from safety_reasoning.schemas.folder import MANIFEST

_STAMPED = (CARD, CHANGELOG, CROISSANT, MANIFEST)
FIRST = "none"
"""What stands in place of the old side for a first version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bumped:
    """A release with its version."""

    version: Version
    since: Version | None
    """The version of the old side."""
    diff: Diff | None
    """What lies between; None for a first version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stamp:
    """What is written into a release."""

    version: Version
    changes: Mapping[str, Any] | None
    changelog: str | None
    """None: neither a changelog nor Croissant metadata."""


def bump(release: Path, old: str, *, chosen: str | None = None, date: str | None = None) -> Bumped:
    """Give the release folder the version that follows the old side, or the chosen one.

    Raises: UsageError if either cannot be read, the release is not as its manifest says, or the version cannot be.
    """
    folder = release.resolve()
    manifest = _intact(folder, release)
    version = None if chosen is None else parsed(chosen)
    if old == FIRST:
        bumped = Bumped(version=first_version(Version.parse(manifest.get("version")), version), since=None, diff=None)
        stamp = _stamp(bumped.version, None, first_notes(manifest), date, older=None)
    else:
        bumped, stamp = _following(str(release), old, version, date)
    _write(folder, manifest, stamp)
    return bumped


def _following(release: str, old: str, chosen: Version | None, date: str | None) -> tuple[Bumped, _Stamp]:
    place = find_place(old)
    with opened(old, place) as was, opened(release) as now:
        diff = compare(was, now, samples=0)
        version = next_version(diff, own=now.version, chosen=chosen, existing=_existing(was, place))
        older = was.text(CHANGELOG)
        if version == was.version and was.manifest is not None:  # the old version again
            stamp = _Stamp(version=version, changes=was.manifest.get("changes"), changelog=older)
        else:
            said = notes(diff) or first_notes(now.manifest or {})
            stamp = _stamp(version, was.version, said, date, older)
        return Bumped(version=version, since=was.version, diff=diff), stamp


def _existing(side: Side, place: Place) -> Iterable[Version]:
    """The versions that the old side knows of: its own, those of its changelog, and the tags of its repository."""
    if side.version is not None:
        yield side.version
    yield from (version for version, _ in entries_of(side.text(CHANGELOG) or ""))
    if isinstance(place, HubPlace):
        yield from versions_of_tags(place.tags())


def _stamp(version: Version, since: Version | None, said: Notes, date: str | None, older: str | None) -> _Stamp:
    changes = {"since": None if since is None else str(since), "date": date, "notes": dict(said)}
    return _Stamp(version=version, changes=changes, changelog=changelog(version, said, date=date, older=older))


def _intact(folder: Path, named: Path) -> Mapping[str, Any]:
    """The manifest of a release whose files are those that it names."""
    manifest = read_manifest(folder)
    if manifest is None:
        raise UsageError(f"{named} is no release", why=f"it has no {MANIFEST} of one", fix="build a release first")
    for name, stated in manifest["files"].items():
        if not _is_as_stated(folder / name, stated):
            raise UsageError(
                f"{named}/{name} is not as the manifest says",
                why="it was changed, or went missing, after the release was written",
                fix="build the release again: what is written by hand into it would be lost",
            )
    return manifest


def _is_as_stated(path: Path, stated: object) -> bool:
    return path.is_file() and isinstance(stated, dict) and stated.get("sha256") == sha256_of(path)


def _write(release: Path, manifest: Mapping[str, Any], stamp: _Stamp) -> None:
    """Put a copy of the release with the stamp in its place; killed at any moment, one of the two is there whole."""
    new: dict[str, Any] = {"version": str(stamp.version)} | ({"changes": stamp.changes} if stamp.changes else {})
    stamped: dict[str, Any] = {}
    for key, value in manifest.items():  # in the order of before, `changes` beside the version
        stamped |= new if key == "version" else {} if key == "changes" else {key: value}
    texts = _texts(stamped, stamp.changelog)
    with replaced(release, marker=MANIFEST, what="release") as folder:
        for path in (path for path in release.rglob("*") if path.is_file()):
            if path.relative_to(release).as_posix() not in _STAMPED:
                _link(path, folder / path.relative_to(release))
        hashes = {name: stated for name, stated in manifest["files"].items() if name not in _STAMPED}
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
            hashes[name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
        stamped["files"] = dict(sorted(hashes.items(), key=lambda item: PurePosixPath(item[0])))
        (folder / MANIFEST).write_text(_json(stamped), encoding="utf-8", newline="\n")


def _texts(manifest: dict[str, Any], said: str | None) -> dict[str, str]:
    """The files that are made anew, by name.

    Raises: UsageError if the manifest lacks what they say: an older version of this package wrote it.
    """
    try:
        texts = {CARD: render_card(manifest)}
        return texts if said is None else texts | {CHANGELOG: said, CROISSANT: _json(croissant(manifest))}
    except (KeyError, TypeError, ValueError, AttributeError, UndefinedError) as error:
        raise UsageError(
            f"the release's {MANIFEST} lacks what its card says", why=detail(error), fix="build the release again"
        ) from error


def _link(old: Path, new: Path) -> None:
    """The same file under a second name; a copy where the file system has no such thing."""
    new.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        shutil.copy2(old, new)


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
