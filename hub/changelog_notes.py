"""Notes on a version under the headings of Keep a Changelog: one sentence each, with the row counts before and after.

The sentences are Markdown; names of columns and files stand in code spans, in which nothing else is read as markup.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from safety_reasoning.hub.diff import ConfigDiff, Diff
from safety_reasoning.hub.diff_rows import Flip, TraceChange
from safety_reasoning.hub.diff_schema import SchemaChange
from safety_reasoning.hub.diff_text import became, counted
from safety_reasoning.printable import printable

Notes = Mapping[str, list[str]]
"""Sentences by heading: Added, Changed, Removed; a heading without any is left away."""

_HEADINGS = ("Added", "Changed", "Removed")
_TICKS = re.compile("`+")


def notes(diff: Diff) -> Notes:
    """What changed, in sentences."""
    said = [sentence for config in diff.configs for sentence in _config(config)]
    said += [*_unreadable(diff), *_beside(diff)]
    return _under_headings(said)


def first_notes(manifest: Mapping[str, Any]) -> Notes:
    """What is said about a first version."""
    configs = manifest["configs"].items()
    return _under_headings([("Added", f"{_records(c['records'])} of {code(name)}.") for name, c in configs])


def _under_headings(said: list[tuple[str, str]]) -> Notes:
    found = {heading: [text for under, text in said if under == heading] for heading in _HEADINGS}
    return {heading: texts for heading, texts in found.items() if texts}


def _config(config: ConfigDiff) -> Iterator[tuple[str, str]]:
    rows, name = config.rows, code(config.config)
    whole = next((change for change in config.schema if change.kind in ("config added", "config removed")), None)
    if whole is not None:
        added = whole.kind == "config added"
        yield ("Added" if added else "Removed"), f"The config {name}, with {_records(rows.after or rows.before)}."
        return
    for change in config.schema:
        yield _schema(change, name)
    had = f"which had {rows.before} and now has {rows.after}"
    if rows.added:
        yield "Added", f"{_records(rows.added)} of {name}, {had}."
    if rows.removed:
        yield "Removed", f"{_records(rows.removed)} of {name}, {had}."
    if rows.changed:
        where = ", ".join(f"{code(column)} in {count}" for column, count in rows.columns.items())
        yield "Changed", f"{_records(rows.changed)} of {name}, {had}: {where}."
    for flip in (*rows.labels, *rows.mismatches):
        yield "Changed", _flip(flip, name)
    for trace in rows.traces:
        yield "Changed", _traces(trace, name)


def _schema(change: SchemaChange, config: str) -> tuple[str, str]:
    column = f"{code(change.column)} of {config}"
    if change.kind == "column added":
        return "Added", f"The column {column}."
    if change.kind == "column removed":
        return "Removed", f"The column {column}."
    if change.kind == "values changed":
        return "Changed", f"The column {column} may hold other values, as its JSON Schema says."
    if change.kind == "column renamed":
        return "Changed", f"The column {code(change.new)} of {config} was called {code(change.old)}."
    return "Changed", f"The column {column} has the type {code(change.new)}, before {code(change.old)}."


def _flip(flip: Flip, config: str) -> str:
    column = f"{code(flip.column)} of {config}"
    old, new = code(flip.old or "null"), code(flip.new or "null")
    return f"The column {column} became {new} in {counted(flip.rows, 'record')} where it was {old}."


def _traces(change: TraceChange, config: str) -> str:
    had = f"{change.before} before and {change.after} now{became(change)}"
    return f"The {change.family} traces of {code(change.teacher)} in {config}, {had}."


def _unreadable(diff: Diff) -> Iterator[tuple[str, str]]:
    for word, side in (("version before", diff.old), ("new version", diff.new)):
        for one in side.unreadable:
            yield "Changed", f"{counted(len(one.lines), 'line')} of {code(one.file)} in the {word} could not be read."


def _beside(diff: Diff) -> Iterator[tuple[str, str]]:
    """Only where nothing weightier is told: counts and hashes in card and manifest follow the rows."""
    if diff.level == "patch":
        same = ", ".join(f"{config.rows.after} of {code(config.config)}" for config in diff.configs)
        yield "Changed", f"{', '.join(map(code, diff.beside))}; the records are the same, {same}."


def _records(count: int) -> str:
    return counted(count, "record")


def code(text: str) -> str:
    """The text as a code span, in which no markup is read: fenced by more backticks than it holds in a row."""
    line = printable(text) or " "
    fence = "`" * (1 + max((len(ticks) for ticks in _TICKS.findall(line)), default=0))
    pad = " " if line.startswith("`") or line.endswith("`") or (line != line.strip() and line.strip()) else ""
    return f"{fence}{pad}{line}{pad}{fence}"
