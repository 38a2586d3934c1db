"""Where the teachers' verdicts differ from the labels: by category and label, or by domain and label."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from safety_reasoning.builders.samples import Sample, TopicControlSample
from safety_reasoning.pages.tables import INTERVAL, TEACHER, Column, Row, Table, share
from safety_reasoning.review.report_cases import Case
from safety_reasoning.review.report_statistics import wilson
from safety_reasoning.schemas.columns import Task

Group = tuple[Task, str, str]
"""Task, field of its samples and the field's value."""
_EVERY = "every sample"
_FIELDS = (
    *(_EVERY, "prompt_harm_label", "response_harm_label", "violated_categories"),
    *("gt_topic_classification", "domain"),
)


@dataclass(slots=True)
class Mismatches:
    """Counts of verdicts by group and teacher: one a teacher and sample, on which the release's flag rests."""

    verdicts: Counter[tuple[Group, str]] = field(default_factory=Counter)
    wrong: Counter[tuple[Group, str]] = field(default_factory=Counter)
    """Of these, mismatches."""
    unparsed: Counter[tuple[Group, str]] = field(default_factory=Counter)
    """Of these, answers that hold no verdict, or two."""

    def add(self, case: Case) -> None:
        """Count a sample."""
        for chain in case.chains:
            if chain.mismatch is None:
                continue
            keys = [((case.sample.task, *pair), chain.teacher) for pair in groups(case.sample)]
            self.verdicts.update(keys)
            self.wrong.update(keys if chain.mismatch else ())
            self.unparsed.update(() if any(chain.said.values()) else keys)


def groups(sample: Sample) -> Iterator[tuple[str, str]]:
    """(field, value) of every group that a sample belongs to; one may violate several categories."""
    yield _EVERY, ""
    if isinstance(sample, TopicControlSample):
        yield "gt_topic_classification", sample.topic
        yield "domain", sample.domain or "not stated"
        return
    yield "prompt_harm_label", sample.prompt_harm
    yield "response_harm_label", sample.response_harm or "none"
    named = dict.fromkeys(filter(None, str(sample.published["violated_categories"]).split(", ")))
    for category in named or ("none named",):
        yield "violated_categories", category


def mismatch_tables(counts: Mismatches) -> tuple[Table, ...]:
    """One table a task that has verdicts."""
    tasks = {group[0] for group, _ in counts.verdicts}
    return tuple(_mismatches(counts, task) for task in Task if task in tasks)


def _mismatches(counts: Mismatches, task: Task) -> Table:
    columns = (
        *(Column("field", "field", "code"), Column("value", "value"), TEACHER),
        Column("verdicts", "verdicts", "count"),
        Column("mismatches", "mismatches", "count"),
        Column("share", "share", "share"),
        *INTERVAL,
        Column("unparsed", "without a verdict", "count"),
    )
    what, more = "domain", ""
    if task is Task.CONTENT_SAFETY:
        what, more = "category", " A sample counts under each category that it violates."
    note = (
        "A mismatch is a verdict that differs from a label of the sample, or an answer without one verdict. Every"
        f" sample that the teacher has finished counts, released or not.{more}"
    )
    title = f"Mismatch with the label by {what}, {task.replace('_', ' ')}"
    return Table(name=f"mismatch_{task}", title=title, columns=columns, rows=tuple(_rows(counts, task)), note=note)


def _rows(counts: Mismatches, task: Task) -> Iterator[Row]:
    """Field by field, the most frequent value first."""
    size: Counter[Group] = Counter()
    for (group, _), count in counts.verdicts.items():
        size[group] += count
    there = [key for key in counts.verdicts if key[0][0] is task]
    for group, teacher in sorted(there, key=lambda k: (_FIELDS.index(k[0][1]), -size[k[0]], k)):
        _, name, value = group
        whole, part = counts.verdicts[group, teacher], counts.wrong[group, teacher]
        silent = counts.unparsed[group, teacher]
        yield (name, value or None, teacher, whole, part, share(part, whole), *wilson(part, whole), silent)
