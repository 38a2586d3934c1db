"""The paper's averages, computed again under named rules. Pure.

A rule is a weighted mean of parts, each a task or another average. What was printed is rounded, and so are the parts:
a recomputed average may lie anywhere within the mean of its parts' slacks, and it agrees with the printed one where the
two ranges meet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from safety_reasoning.eval.report.paper_tables import Cell, PaperTable
from safety_reasoning.eval.scores.averages import AVERAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A way to come to an average."""

    name: str
    parts: Mapping[str, int]
    """What is averaged, and the weight of each."""


def _rule(name: str, *parts: str, **weighted: int) -> Rule:
    return Rule(name=name, parts=dict.fromkeys(parts, 1) | weighted)


def _named(name: str) -> Rule:
    return _rule(name, *AVERAGES[name])


RULES: Mapping[str, tuple[Rule, ...]] = {
    **{name: (_named(name),) for name in ("prompt5", "resp4", "dyna4", "cosa5")},
    "safety9": (_named("safety9"), _rule("safety9", prompt5=5, resp4=4)),
    "custom_mean2": (
        _named("custom_mean2"),
        _rule("custom9", *AVERAGES["dyna4"], *AVERAGES["cosa5"]),
        _rule("custom9", dyna4=4, cosa5=5),
    ),
}
"""By the average that a column gives: the rules that it may follow. `custom9`, the mean of the nine custom tasks, is
no rule that the paper names; some of its rows follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A printed average, computed again."""

    rule: str
    table: int
    """Where the parts stand."""
    value: Decimal
    slack: Decimal
    agrees: bool
    """Whether it and the printed average can both be right, as far as the printed digits tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """A printed average whose parts are printed too."""

    cell: Cell
    again: tuple[Again, ...]
    """Under every rule that it may follow, and from every table that has the parts."""

    @property
    def rules(self) -> frozenset[str]:
        """Those that give it, from whatever table."""
        return frozenset(one.rule for one in self.again if one.agrees)


def averages_again(tables: Mapping[int, PaperTable]) -> tuple[Average, ...]:
    """Every average of the tables; those without printed parts are left out, there is nothing to say of them."""
    cells = [cell for table in tables.values() for row in table.rows for cell in row.cells if cell.of in RULES]
    found = (Average(cell=cell, again=tuple(_again(cell, tables))) for cell in cells)
    return tuple(average for average in found if average.again)


def _again(cell: Cell, tables: Mapping[int, PaperTable]) -> Iterator[Again]:
    """First from the cell's own table, then from the others."""
    if cell.measure.startswith("std"):
        return  # the spread of a mean is no mean of spreads
    for rule in RULES[cell.of]:
        for table in sorted(tables.values(), key=lambda table: table.number != cell.table):
            row = table.row(cell.row)
            there = {part.of: part for part in row.cells if part.measure == cell.measure} if row else {}
            if rule.parts.keys() <= there.keys():
                yield _mean(cell, rule, {there[part]: weight for part, weight in rule.parts.items()})


def _mean(cell: Cell, rule: Rule, parts: Mapping[Cell, int]) -> Again:
    whole = sum(parts.values())
    value = sum((weight * part.value for part, weight in parts.items()), Decimal()) / whole
    slack = sum((weight * part.slack for part, weight in parts.items()), Decimal()) / whole
    agrees = abs(value - cell.value) <= slack + cell.slack
    return Again(rule=rule.name, table=next(iter(parts)).table, value=value, slack=slack, agrees=agrees)
