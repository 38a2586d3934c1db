"""Whether a file is what its declaration says: columns first, then counts. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from safety_reasoning.eval.benchmarks.declaration import Declaration, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What there is of a task, or should be; None: not known."""

    file_rows: int | None
    """Rows, or dialogues, of the file."""
    rows: int | None
    """Labelled rows, or turns, of the preset, before equal texts are made one item."""
    positives: int | None


def expected(declared: Declaration, preset: Preset) -> Counts:
    """What the declaration says."""
    return Counts(file_rows=declared.source.file_rows, rows=preset.rows, positives=preset.positives)


def differences(wanted: Counts, found: Counts) -> list[str]:
    """In words, each count that is known and is another."""
    pairs = (
        ("rows in the file", wanted.file_rows, found.file_rows),
        ("labelled rows", wanted.rows, found.rows),
        ("positive rows", wanted.positives, found.positives),
    )
    return [f"{there} {what}, not {said}" for what, said, there in pairs if said is not None and said != there]


def lacking(declared: Declaration, preset: Preset, found: Collection[str]) -> list[str]:
    """The columns that the task needs and no row has; where one of several would do, all of them, with "or"."""
    return [" or ".join(names) for names in _needed(declared, preset) if not set(names) & set(found)]


def without_breakdown(declared: Declaration, found: Collection[str]) -> list[str]:
    """The columns of categories and domains that no row has."""
    wanted = (declared.columns.category, declared.columns.domain)
    return [" or ".join(names) for names in wanted if names and not set(names) & set(found)]


def _needed(declared: Declaration, preset: Preset) -> Iterator[tuple[str, ...]]:
    columns, label = declared.columns, declared.label
    yield from (names for names in (preset.prompt or columns.prompt, columns.response, columns.policy) if names)
    yield from ((column,) for column in (*declared.where, *preset.where))
    if label.rule == "dialogue":
        yield ("system_instruction",)
        yield ("conversation", "conversation_with_distractors")
    elif label.rule == "any_flag":  # a key that a row lacks is an unknown flag
        yield label.columns
    else:
        yield from ((column,) for column in label.columns)
