"""What a store's attempts gave, in tables: what was kept, why traces were dropped, what came of asking again."""

from collections.abc import Iterator

from safety_reasoning.pages.tables import ATTEMPT, REASON, STEP, TEACHER, Column, Row, Table, share
from safety_reasoning.review.report_yield import STEPS, Yield

_BY = Column("by", "found by", "code")
_COSTS = (
    Column("all", "attempts", "count"),
    Column("first", "as the first reason", "count"),
    Column("final", "in the end", "count"),
)


def progress(counts: Yield) -> Table:
    """How far every teacher is."""
    columns = (
        *(TEACHER, Column("samples", "samples", "count")),
        Column("finished", "finished", "count"),
        Column("begun", "begun", "count"),
        Column("not_begun", "not begun", "count"),
    )
    there = ((teacher, counts.ended[teacher], counts.begun[teacher]) for teacher in sorted(counts.ended))
    return Table(
        name="progress",
        title="How far the store is",
        columns=columns,
        rows=tuple(
            (name, counts.samples, ended, begun, counts.samples - ended - begun) for name, ended, begun in there
        ),
        note="Finished: the store holds every reply that the sample needs of the teacher, and of the judge about it. A"
        " trace that the judge has yet to read is in none of the tables below.",
    )


def summary(counts: Yield) -> Table:
    """Traces asked for, kept and released."""
    columns = (
        *(TEACHER, STEP),
        Column("asked", "traces asked for", "count"),
        Column("attempts", "attempts", "count"),
        Column("kept", "kept", "count"),
        Column("kept_share", "kept, of those asked for", "share"),
        Column("released", "released", "count"),
    )
    return Table(
        name="summary",
        title="Traces asked for, kept and released",
        columns=columns,
        rows=tuple(_summary(counts)),
        note="Kept: no filter and no judge refused it, at whichever attempt. Released: kept, the one that its chain"
        " ended with, and of a sample that every teacher has finished and the keep rule keeps.",
    )


def _summary(counts: Yield) -> Iterator[Row]:
    for teacher in sorted(counts.ended):
        for step in STEPS:
            asked = counts.tried[teacher, step, 0]
            attempts = sum(n for (t, s, _), n in counts.tried.items() if (t, s) == (teacher, step))
            kept = sum(n for (t, s, _), n in counts.kept.items() if (t, s) == (teacher, step))
            yield (teacher, step, asked, attempts, kept, share(kept, asked), counts.released[teacher, step])


def dropped(counts: Yield) -> Table:
    """Why traces were dropped, the most frequent reason first."""
    every = counts.tried.total()
    total, first, final = counts.attempts_by_reason(), counts.first, counts.final
    rows = (
        (
            *(*why, attempts, share(attempts, every)),
            sum(count for (*_, of), count in first.items() if of == why),
            sum(count for (*_, of), count in final.items() if of == why),
        )
        for why, attempts in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    )
    return Table(
        name="dropped",
        title="Why traces were dropped",
        columns=(REASON, _BY, _COSTS[0], Column("share", "of all attempts", "share"), *_COSTS[1:]),
        rows=tuple(rows),
        note="Attempts that have the reason, among others perhaps; those whose first reason it is; those that it cost"
        " the trace for good. A reply that is no answer has its status for a reason.",
    )


def dropped_in_full(counts: Yield, attempts: int) -> Table:
    """The same by teacher, step and attempt; `attempts`: times that the recipe asks again."""
    each = tuple(Column(f"attempt_{n}", f"at attempt {n}", "count") for n in range(attempts + 1))
    return Table(
        name="dropped_in_full",
        title="Why traces were dropped, by teacher, step and attempt",
        columns=(REASON, _BY, TEACHER, STEP, *_COSTS, *each),
        rows=tuple(_dropped(counts, attempts)),
        folded=True,
    )


def _dropped(counts: Yield, attempts: int) -> Iterator[Row]:
    total = counts.attempts_by_reason()
    keys = {(why, teacher, step) for teacher, step, why, _ in counts.dropped}
    for why, teacher, step in sorted(keys, key=lambda k: (-total[k[0]], k[0], k[1], STEPS.index(k[2]))):
        each = [counts.dropped[teacher, step, why, number] for number in range(attempts + 1)]
        first, final = counts.first[teacher, step, why], counts.final[teacher, step, why]
        yield (*why, teacher, step, sum(each), first, final, *each)


def by_attempt(counts: Yield) -> Table:
    """What the first attempt gave, the second and so on."""
    columns = (
        *(TEACHER, STEP, ATTEMPT),
        Column("asked", "asked", "count"),
        Column("kept", "kept", "count"),
        Column("share", "kept, of these", "share"),
        Column("kept_so_far", "kept so far, of all", "share"),
    )
    return Table(
        name="yield",
        title="Yield by attempt",
        columns=columns,
        rows=tuple(_by_attempt(counts)),
        note="Attempt 0 is the first; a trace that is dropped is asked for again.",
    )


def _by_attempt(counts: Yield) -> Iterator[Row]:
    for teacher in sorted(counts.ended):
        for step in STEPS:
            so_far = 0
            for number in sorted(n for t, s, n in counts.tried if (t, s) == (teacher, step)):
                key = (teacher, step, number)
                so_far += counts.kept[key]
                every = share(so_far, counts.tried[teacher, step, 0])
                yield (*key, counts.tried[key], counts.kept[key], share(counts.kept[key], counts.tried[key]), every)


def after_reason(counts: Yield) -> Table:
    """Whether asking again helps, by what was wrong before."""
    columns = (
        *(TEACHER, STEP, REASON, _BY, Column("attempt", "dropped at attempt", "count")),
        Column("again", "asked again", "count"),
        Column("kept", "kept then", "count"),
        Column("share", "share", "share"),
    )
    return Table(
        name="yield_after_reason",
        title="Yield of the next attempt, by the reason of the one before",
        columns=columns,
        rows=tuple(_after_reason(counts)),
        note="A trace with two reasons counts under both.",
        folded=True,
    )


def _after_reason(counts: Yield) -> Iterator[Row]:
    for key in sorted(counts.again, key=lambda key: (key[0], STEPS.index(key[1]), *key[2:])):
        teacher, step, why, attempt = key
        again, kept = counts.again[key], counts.mended[key]
        yield (teacher, step, *why, attempt, again, kept, share(kept, again))
