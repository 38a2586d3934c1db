"""How far the teachers' verdicts agree with one another, label by label."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from safety_reasoning.pages.tables import INTERVAL, Column, Row, Table, share
from safety_reasoning.review.agreement import cohen_kappa, krippendorff_alpha
from safety_reasoning.review.report_cases import Case
from safety_reasoning.review.report_statistics import wilson

Verdicts = tuple[str | None, ...]
"""What each teacher says of one label, in the order of their names; None where it gives no verdict."""
_LABEL = (Column("task", "task", "code"), Column("label", "label", "code"))


@dataclass(slots=True)
class Agreements:
    """How often the teachers say what together, by task and label."""

    teachers: tuple[str, ...]
    """Sorted."""
    said: defaultdict[tuple[str, str], Counter[Verdicts]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, case: Case) -> None:
        """Count a sample."""
        for label in case.chains[0].said:
            verdicts = tuple(chain.said[label] for chain in case.chains)
            if any(verdicts):
                self.said[str(case.sample.task), label][verdicts] += 1


def agreement_tables(counts: Agreements) -> tuple[Table, ...]:
    """Agreement of every two teachers and of all; () with fewer than two."""
    return (_agreement(counts), _alphas(counts)) if len(counts.teachers) > 1 else ()


def _agreement(counts: Agreements) -> Table:
    columns = (
        *_LABEL,
        *(Column("first", "teacher", "code"), Column("second", "and", "code")),
        Column("both", "verdicts of both", "count"),
        Column("same", "the same", "count"),
        Column("share", "share", "share"),
        *INTERVAL,
        Column("kappa", "Cohen's kappa", "ratio"),
        Column("one", "verdict of one alone", "count"),
    )
    note = (
        "Kappa is 1 where two always agree and 0 where they agree as often as chance would; – where there is one"
        " verdict throughout, on which agreement shows nothing."
    )
    rows = (row for key in sorted(counts.said) for row in _pairs(*key, counts.teachers, counts.said[key]))
    return Table(name="agreement", title="Agreement of two teachers", columns=columns, rows=tuple(rows), note=note)


def _pairs(task: str, label: str, teachers: Sequence[str], said: Counter[Verdicts]) -> Iterator[Row]:
    for i, j in combinations(range(len(teachers)), 2):
        pairs = [(verdicts[i], verdicts[j]) for verdicts in _each(said)]
        both = [pair for pair in pairs if None not in pair]
        one = sum(pair.count(None) == 1 for pair in pairs)
        kappa = cohen_kappa([first for first, _ in both], [second for _, second in both])
        shares = (share(kappa.agreed, kappa.items), *wilson(kappa.agreed, kappa.items))
        yield (task, label, teachers[i], teachers[j], kappa.items, kappa.agreed, *shares, kappa.value, one)


def _alphas(counts: Agreements) -> Table:
    columns = (
        *_LABEL,
        Column("teachers", "teachers", "count"),
        Column("samples", "samples with two verdicts or more", "count"),
        Column("verdicts", "verdicts", "count"),
        Column("alpha", "Krippendorff's alpha", "ratio"),
    )
    rows = (_alpha(*key, len(counts.teachers), counts.said[key]) for key in sorted(counts.said))
    return Table(
        name="alpha",
        title="Agreement of all teachers",
        columns=columns,
        rows=tuple(rows),
        note="Nominal; to be read as kappa is.",
    )


def _alpha(task: str, label: str, teachers: int, said: Counter[Verdicts]) -> Row:
    alpha = krippendorff_alpha(list(zip(*_each(said), strict=True)))
    return (task, label, teachers, alpha.items, alpha.labels, alpha.value)


def _each(said: Counter[Verdicts]) -> list[Verdicts]:
    """One entry a sample, in an order that does not depend on theirs."""
    return [verdicts for verdicts in sorted(said, key=str) for _ in range(said[verdicts])]
