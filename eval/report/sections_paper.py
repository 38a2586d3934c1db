"""What a report says of the paper alone: where it disagrees with itself, and what it takes to regenerate it. Pure."""

from safety_reasoning.eval.report.contradictions import Contradictions
from safety_reasoning.eval.report.paper_averages import Average
from safety_reasoning.eval.report.paper_tables import Cell, paper_tables
from safety_reasoning.eval.report.resources import Access, Need
from safety_reasoning.pages.tables import Column, Row, Table

_GENERATIONS = 4
"""Of the paper (section 4.2)."""
_AVERAGE = (
    *(Column("table", "table", "count"), Column("row", "row", "code"), Column("column", "column", "code")),
    *(Column("printed", "printed"), Column("rule", "rule", "code")),
    *(Column("again", "computed again", "ratio"), Column("slack", "±", "ratio"), Column("from", "from table", "count")),
)


def contradiction_tables(found: Contradictions) -> tuple[Table, ...]:
    """Five tables, one a kind."""
    return (_twice(found), _without_rule(found), _other_rule(found), _statements(found), _words(found))


def _twice(found: Contradictions) -> Table:
    columns = (
        *(Column("row", "row", "code"), Column("of", "of", "code"), Column("first", "in table", "count")),
        *(Column("first_value", "printed"), Column("other", "and in table", "count")),
        Column("other_value", "printed"),
    )
    rows = tuple(
        (
            *(one.first.row, one.first.of, one.first.table, str(one.first.value)),
            *(one.other.table, str(one.other.value)),
        )
        for one in found.twice
    )
    return Table(
        name="printed_twice",
        title="Cells that are printed twice, and not alike",
        columns=columns,
        rows=rows,
        note="Of one model and one measure; the first place is that of the lower table.",
    )


def _without_rule(found: Contradictions) -> Table:
    return Table(
        name="averages_without_rule",
        title="Averages that no rule gives",
        columns=_AVERAGE,
        rows=tuple(row for one in found.without_rule for row in _again(one)),
        note="Every rule that the average may follow is tried on every table that prints its parts; ± is what the"
        " rounding of the parts can do. No fixed weights of its four tasks give DynaGuardrail's averages either.",
        folded=True,
    )


def _other_rule(found: Contradictions) -> Table:
    return Table(
        name="averages_of_another_rule",
        title="Averages that follow another rule than the rest of their column",
        columns=_AVERAGE,
        rows=tuple(row for one in found.other_rule for row in _again(one)),
        note="custom_mean2 is the mean of the two suites' averages, custom9 the mean of their nine tasks.",
        folded=True,
    )


def _statements(found: Contradictions) -> Table:
    columns = (
        *(Column("where", "where"), Column("says", "what is said"), Column("higher", "should be higher")),
        *(Column("lower", "should be lower"), Column("difference", "difference", "ratio")),
    )
    rows = tuple(
        (one.where, one.says, _placed(one.higher), _placed(one.lower), float(one.difference))
        for one in found.statements
    )
    title = "Statements of the text that the tables do not bear out"
    return Table(name="statements", title=title, columns=columns, rows=rows)


def _placed(cell: Cell) -> str:
    return f"{cell.value} ({cell.place})"


def _words(found: Contradictions) -> Table:
    columns = (Column("where", "where"), Column("says", "what is said"))
    rows = tuple((one.where, one.says) for one in found.words)
    return Table(name="words", title="The text against itself", columns=columns, rows=rows)


def _again(average: Average) -> tuple[Row, ...]:
    cell = average.cell
    shown = {(one.rule, one.table): one for one in reversed(average.again)}
    return tuple(
        (
            *(cell.table, cell.row, cell.column, str(cell.value)),
            *(one.rule, float(one.value), float(one.slack), one.table),
        )
        for one in reversed(shown.values())
    )


def resource_table(needs: tuple[Need, ...]) -> Table:
    """One row a model: its cells, and what they take."""
    columns = (
        *(Column("row", "row", "code"), Column("tables", "tables"), Column("cells", "cells", "count")),
        *(Column("start", "weights", "code"), Column("gated", "gated"), Column("training", "training")),
        *(Column("run_gb", "GB to run", "count"), Column("train_gb", "GB to train", "count")),
    )
    rows = tuple(
        (
            *(need.model.name, ", ".join(map(str, need.cells)), sum(need.cells.values())),
            *(need.model.weights or need.model.base, "yes" if need.model.gated else "no"),
            *(need.model.trained_on or "none: the weights are public", round(need.run_gb)),
            None if need.train_gb is None else round(need.train_gb),
        )
        for need in needs
    )
    return Table(
        name="models",
        title="What each model takes",
        columns=columns,
        rows=rows,
        note="Memory of the weights alone at 2 bytes a parameter; of full fine-tuning at 16 bytes a parameter, over all"
        " devices. The paper trained each model in 1 to 4 hours on 8 A100 (Appendix B), and took its traces from"
        " DeepSeek-R1-671B; other teachers' traces give other numbers.",
    )


def access_table(found: tuple[Access, ...]) -> Table:
    """One row a benchmark."""
    columns = (
        *(Column("task", "task", "code"), Column("page", "where"), Column("gated", "gated")),
        *(Column("rows", "rows", "count"), Column("calls", "calls", "count"), Column("cells", "cells", "count")),
    )
    rows = tuple(
        (
            *(one.task, one.page, "yes" if one.gated else "no", one.rows),
            *(None if one.rows is None else one.rows * _GENERATIONS, one.cells),
        )
        for one in found
    )
    return Table(
        name="access",
        title="What each benchmark takes",
        columns=columns,
        rows=rows,
        note=f"Calls: of one model, for the paper's {_GENERATIONS} generations. Gated: given to accounts that were let"
        " in; the page says how to ask. Cells: those of the paper that need it, averages among them. Time: the paper's"
        " 8 A100 took 0.019 s a sample without reasoning and 2.7 times that with full traces (section 7).",
    )


def paper_size() -> tuple[int, int]:
    """How many cells the tables have, and how many rows."""
    rows = [row for table in paper_tables().values() for row in table.rows]
    return sum(len(row.cells) for row in rows), len(rows)
