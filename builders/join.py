"""Join: samples and the store's replies to wide records, and the keep rule. Pure but for reading the store."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from safety_reasoning.builders.calls import Reply, Status
from safety_reasoning.builders.finished import Ended, note_key, policy
from safety_reasoning.builders.left_out import LeftOut, Reason, left_out_sample
from safety_reasoning.builders.questions import full_call
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.resume import resume
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.sift import efficient_trace, full_trace, inputs
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.verdicts import mismatch
from safety_reasoning.errors import UsageError
from safety_reasoning.filters.quality import quality
from safety_reasoning.filters.trace import Trace, TraceStep

FULL, EFFICIENT = "full", "efficient"


@dataclass(slots=True)
class Joined:
    """What the release is made of."""

    records: list[Record] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    dropped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Traces that are not released, by teacher, step and reason (a `Drop`, a `Status` or the judge's)."""


def join(recipe: Recipe, samples: Iterable[Sample], store: Store) -> Joined:
    """The records of the samples, from the replies in the store.

    Raises: UsageError if a call of the recipe has no reply yet.
    """
    joined = Joined()
    teachers = sorted(recipe.teachers, key=lambda teacher: teacher.name)
    policies = {teacher.name: policy(teacher, recipe) for teacher in teachers}
    for sample in samples:
        ends = {t.name: _ended(sample, t, recipe, store, policies[t.name]) for t in teachers}
        traces = {name: _teacher_traces(sample, name, ended, store, joined) for name, ended in ends.items()}
        _keep(Record(sample=sample, traces=traces), recipe.release.keep, joined)
    return joined


def rejoin(recipe: Recipe, records: Iterable[Record]) -> Joined:
    """The records of a published release under this recipe's filters and keep rule."""
    found = list(records)
    joined = Joined()
    teachers = sorted({name for record in found for name in record.traces})
    _check_rule(recipe.release.keep, teachers)
    for record in found:
        traces = {name: _filtered(record, name, recipe, joined) for name in teachers}
        _keep(Record(sample=record.sample, traces=traces), recipe.release.keep, joined)
    return joined


def _check_rule(rule: str, teachers: Sequence[str]) -> None:
    if rule not in {"any", "majority", "all", *teachers}:
        raise UsageError(
            f"release.keep = {rule!r} names no teacher of the source",
            fix=f"use any, majority, all or one of: {', '.join(teachers)}",
        )


def _ended(sample: Sample, teacher: TeacherRecipe, recipe: Recipe, store: Store, decided_by: str) -> Ended:
    """Where the chain ended: as the run noted it, else by following it."""
    noted = store.finished(note_key(decided_by, full_call(sample, teacher)))
    return noted or resume(sample, teacher, recipe, store).ended or _incomplete()


def _teacher_traces(sample: Sample, teacher: str, ended: Ended, store: Store, joined: Joined) -> TeacherTraces:
    full = _reply(store, ended.full.key)
    verdict = full if ended.verdict == full.key else _reply(store, ended.verdict)
    efficient = None
    if ended.efficient is not None:
        short = efficient_trace(_reply(store, ended.efficient.key))
        efficient = _released(short, ended.efficient.reasons, teacher, EFFICIENT, joined)
    return TeacherTraces(
        full=_released(full_trace(full), ended.full.reasons, teacher, FULL, joined),
        efficient=efficient,
        mismatch=mismatch(sample, verdict.answer) if verdict.status is Status.OK else None,
    )


def _reply(store: Store, key: str) -> Reply:
    return store.get(key) or _incomplete()


def _incomplete() -> NoReturn:
    raise UsageError(
        "the store lacks replies that the recipe needs",
        why="not every call was answered yet",
        fix="run `safety-reasoning build` with this recipe first",
    )


def _released(trace: str | None, reasons: Sequence[str], teacher: str, step: str, joined: Joined) -> str | None:
    joined.dropped.update((teacher, step, reason) for reason in reasons[:1])
    return None if reasons else trace


def _filtered(record: Record, teacher: str, recipe: Recipe, joined: Joined) -> TeacherTraces:
    """The published traces that pass every filter; an efficient one goes with its full one."""
    traces = record.traces.get(teacher)
    if traces is None:
        return TeacherTraces(full=None, efficient=None, mismatch=None)
    full = _passed(record.sample, traces.full, "full", teacher, recipe, joined)
    efficient = _passed(record.sample, traces.efficient, "efficient", teacher, recipe, joined) if full else None
    return TeacherTraces(full=full, efficient=efficient, mismatch=traces.mismatch)


def _passed(
    sample: Sample, text: str | None, step: TraceStep, teacher: str, recipe: Recipe, joined: Joined
) -> str | None:
    if text is None:
        return None
    trace = Trace(
        text=text,
        answer="",
        task=sample.task,
        step=step,
        inputs=inputs(sample),
        template="",
        sentences=recipe.release.sentences,
    )
    return _released(text, quality(trace, recipe.filters), teacher, step, joined)


def _keep(record: Record, rule: str, joined: Joined) -> None:
    if all(traces.full is None for traces in record.traces.values()):
        reason, detail = Reason.NO_USABLE_TRACE, "every full trace is missing or was filtered"
    elif not kept_by(rule, record):
        reason, detail = Reason.KEEP_RULE, f"keep = {rule}"
    else:
        joined.records.append(record)
        return
    joined.left_out.append(left_out_sample(record.sample, reason, detail))


def kept_by(rule: str, record: Record) -> bool:
    """Whether the keep rule holds; a teacher agrees if its verdict does and its full trace is released."""
    agree = [name for name, t in record.traces.items() if t.mismatch is False and t.full is not None]
    if rule == "any":
        return bool(agree)
    if rule == "majority":
        return 2 * len(agree) > len(record.traces)
    if rule == "all":
        return len(agree) == len(record.traces)
    return rule in agree
