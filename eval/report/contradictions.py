"""Where the paper disagrees with itself: cells that are printed twice, averages without a rule, and its text. Pure."""

from collections import defaultdict
from dataclasses import dataclass

from safety_reasoning.eval.report.paper_averages import Average, averages_again
from safety_reasoning.eval.report.paper_tables import Cell, paper_tables
from safety_reasoning.eval.report.paper_text import Statement, Words, statements, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Twice:
    """One number of one model, printed otherwise in another table."""

    first: Cell
    other: Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradictions:
    """All of them."""

    twice: tuple[Twice, ...]
    without_rule: tuple[Average, ...]
    """Averages that no rule gives."""
    other_rule: tuple[Average, ...]
    """Averages that a rule gives, and not the one that the rest of their column follows."""
    statements: tuple[Statement, ...]
    """What the text says of cells, and the cells do not."""
    words: tuple[Words, ...]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(map(len, (self.twice, self.without_rule, self.other_rule, self.statements, self.words)))


def contradictions() -> Contradictions:
    """What is found in the paper's own numbers; the same every time."""
    averages = averages_again(paper_tables())
    return Contradictions(
        twice=printed_twice(),
        without_rule=tuple(one for one in averages if not one.rules),
        other_rule=tuple(one for one in averages if one.rules and one.cell.of not in one.rules),
        statements=tuple(one for one in statements() if not one.holds),
        words=words(),
    )


def printed_twice() -> tuple[Twice, ...]:
    """Cells of one model and one measure whose printed values cannot be the same number."""
    places: defaultdict[tuple[str, str, str], list[Cell]] = defaultdict(list)
    for table in paper_tables().values():
        for row in table.rows:
            for cell in row.cells:
                places[cell.row, cell.of, cell.measure].append(cell)
    return tuple(
        Twice(first=first, other=other)
        for first, *others in places.values()
        for other in others
        if not _same(first, other)
    )


def _same(one: Cell, other: Cell) -> bool:
    """Whether both can be roundings of one number: they are equal in the digits that both have."""
    fine, coarse = sorted((one, other), key=lambda cell: cell.slack)
    return fine.value.quantize(coarse.value) == coarse.value
