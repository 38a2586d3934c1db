"""A diff for a person at a terminal. Whatever a row holds, it stays on its line and moves no cursor."""

import json
from collections.abc import Iterator

from safety_reasoning.hub.diff import Compared, ConfigDiff, Diff
from safety_reasoning.hub.diff_rows import Flip, RowChanges, TraceChange
from safety_reasoning.hub.diff_schema import SchemaChange
from safety_reasoning.hub.rows_samples import RowSample, Value
from safety_reasoning.printable import printable


def as_text(diff: Diff) -> str:
    """Line by line, without the last line's end."""
    return "\n".join(_lines(diff))


def _lines(diff: Diff) -> Iterator[str]:
    for word, side in (("old", diff.old), ("new", diff.new)):
        yield f"{word}: {_side(side)}"
        for one in side.unreadable:
            yield f"  not read: {printable(one.file)}, {counted(len(one.lines), 'line')}: {listed(one.lines)}"
    for config in diff.configs:
        yield from _config(config)
    if diff.beside:
        yield f"beside the rows: {', '.join(map(printable, diff.beside))}"
    yield conclusion(diff)


def conclusion(diff: Diff) -> str:
    """Which version follows, and why."""
    if diff.nothing_changed:
        return "nothing changed"
    if diff.next_version is None:
        return f"next version: a {diff.level} one, since {diff.why}; old states none"
    return f"next version: {diff.next_version} ({diff.level}, since {diff.why})"


def _side(side: Compared) -> str:
    told = [f"version {side.version}" if side.version else "no version"]
    return f"{printable(side.named)} ({', '.join([*told, *([f'commit {side.commit}'] if side.commit else [])])})"


def _config(config: ConfigDiff) -> Iterator[str]:
    rows = config.rows
    if not (rows.differ or config.schema):
        yield f"{config.config}: the same {counted(rows.after, 'row')}"
        return
    yield (
        f"{config.config}: {rows.before} → {counted(rows.after, 'row')}; "
        f"{rows.added} added, {rows.removed} removed, {rows.changed} changed"
    )
    for line in (*map(schema_change, config.schema), *_counts(rows), *_samples(rows)):
        yield f"  {line}"


def schema_change(change: SchemaChange) -> str:
    """A change of schema in words."""
    if not change.old:
        return f"{change.kind}: {printable(change.column)}" if change.column else change.kind
    named = "" if change.kind == "column renamed" else f" of {printable(change.column)}"
    return f"{change.kind}{named}: {printable(change.old)} → {printable(change.new)}"


def _counts(rows: RowChanges) -> Iterator[str]:
    for name, count in rows.columns.items():
        yield f"{printable(name)} changed in {counted(count, 'row')}"
    for flip in (*rows.labels, *rows.mismatches):
        yield flipped(flip)
    for change in rows.traces:
        yield traces(change)
    for side, count in (("old", rows.repeated_before), ("new", rows.repeated_after)):
        if count:
            yield f"{counted(count, 'row')} of {side} repeat the key of an earlier one"


def flipped(flip: Flip) -> str:
    """A flip in words."""
    return f"{printable(flip.column)}: {flip.old or 'null'} → {flip.new or 'null'} in {counted(flip.rows, 'row')}"


def traces(change: TraceChange) -> str:
    """What became of traces, in words."""
    return f"{change.family} traces of {change.teacher}: {change.before} → {change.after}{became(change)}"


def became(change: TraceChange) -> str:
    """What became of the traces of rows in both sides: `; 2 added, 1 rewritten in rows of both`."""
    counts = {"added": change.added, "removed": change.removed, "rewritten": change.changed}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"; {told} in rows of both" if told else ""


def _samples(rows: RowChanges) -> Iterator[str]:
    for word, samples in (
        ("added", rows.added_samples),
        ("removed", rows.removed_samples),
        ("changed", rows.changed_samples),
    ):
        for sample in samples:
            yield f"{word} {_sample(sample)}"
            for change in sample.changes:
                yield f"  {printable(change.column)}: {literal(change.old)} → {literal(change.new)}"


def _sample(sample: RowSample) -> str:
    return f"row {sample.row}, {sample.key}: {literal(sample.begins)}"


def counted(number: int, noun: str) -> str:
    """1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(numbers: tuple[int, ...], most: int = 10) -> str:
    """The first few numbers."""
    return ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")


def literal(value: Value) -> str:
    """A value as JSON writes it, on one line, in characters that only show themselves."""
    return printable(json.dumps(value, ensure_ascii=False))
