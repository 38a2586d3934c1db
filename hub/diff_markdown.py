"""A diff as Markdown, for a pull request or a discussion. Text of rows stands in code spans, shortened."""

from collections.abc import Iterator

from safety_reasoning.cards.render import prose
from safety_reasoning.hub.changelog_notes import code, notes
from safety_reasoning.hub.diff import ConfigDiff, Diff
from safety_reasoning.hub.diff_text import conclusion, counted, listed, literal
from safety_reasoning.hub.rows_samples import RowSample


def as_markdown(diff: Diff) -> str:
    """Notes by heading, samples by config, and which version follows; without the last line's end."""
    return "\n".join(_lines(diff))


def _lines(diff: Diff) -> Iterator[str]:
    yield f"# {code(diff.old.named)} → {code(diff.new.named)}"
    yield from ("", f"{conclusion(diff)[0].upper()}{conclusion(diff)[1:]}.")
    for heading, sentences in notes(diff).items():
        yield from ("", f"## {heading}", "", *(f"- {prose(sentence)}" for sentence in sentences))
    samples = [line for config in diff.configs for line in _samples(config)]
    if samples:
        yield from ("", "## Samples", "", *samples)
    aside = [f"- {line}" for line in _left_aside(diff)]
    if aside:
        yield from ("", "## Left aside", "", *aside)


def _samples(config: ConfigDiff) -> Iterator[str]:
    for word, samples in (
        ("added", config.rows.added_samples),
        ("removed", config.rows.removed_samples),
        ("changed", config.rows.changed_samples),
    ):
        for sample in samples:
            yield from _sample(f"{code(config.config)}, {word}", sample)


def _sample(kind: str, sample: RowSample) -> Iterator[str]:
    yield f"- {kind}: row {sample.row}, {code(sample.key)}, {code(literal(sample.begins))}"
    for change in sample.changes:
        yield f"  - {code(change.column)}: {code(literal(change.old))} → {code(literal(change.new))}"


def _left_aside(diff: Diff) -> Iterator[str]:
    for word, side in (("old", diff.old), ("new", diff.new)):
        for one in side.unreadable:
            lines = counted(len(one.lines), "line")
            yield f"{code(one.file)} of {word}, {lines} that could not be read: {listed(one.lines)}"
    for config in diff.configs:
        for word, count in (("old", config.rows.repeated_before), ("new", config.rows.repeated_after)):
            if count:
                yield f"{counted(count, 'row')} of {code(config.config)} in {word} repeat the key of an earlier one"
