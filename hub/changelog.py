"""The changelog of a data set: CHANGELOG.md, newest version first, in the form of https://keepachangelog.com."""

import re
from collections.abc import Iterator

from safety_reasoning.cards.render import prose
from safety_reasoning.hub.changelog_notes import Notes
from safety_reasoning.hub.versions import Version

CHANGELOG = "CHANGELOG.md"
_HEAD = """\
# Changelog

The form is that of [Keep a Changelog](https://keepachangelog.com). A change of schema makes a major version, one of
records a minor version, one of anything else a patch.
"""
_ENTRY = re.compile(r"(?m)^## \[?(?P<version>\d+\.\d+\.\d+)\b")


def changelog(version: Version, notes: Notes, *, date: str | None, older: str | None) -> str:
    """The whole file: a head, this version, and the versions of an older file as they stand there."""
    entries = [entry(version, notes, date)]
    entries += [text for found, text in entries_of(older or "") if found != version]
    return "\n".join([_HEAD, *entries])


def entry(version: Version, notes: Notes, date: str | None = None) -> str:
    """One version of it; without a date where none is given."""
    lines = [f"## [{version}]{f' - {date}' if date else ''}"]
    for heading, sentences in notes.items():
        lines += ["", f"### {heading}", "", *(f"- {prose(sentence)}" for sentence in sentences)]
    return "\n".join([*lines, ""])


def entries_of(text: str) -> Iterator[tuple[Version, str]]:
    """The versions of a changelog with what stands under each, newest first as they stand."""
    found = list(_ENTRY.finditer(text))
    ends = [later.start() for later in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=False):  # without an entry there is an end all the same
        if (version := Version.parse(match["version"])) is not None:
            yield version, text[match.start() : end].rstrip() + "\n"
