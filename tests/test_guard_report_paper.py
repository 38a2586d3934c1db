"""The paper's numbers as data: every table whole, spot cells as printed, averages and contradictions as computed."""

from collections import Counter
from decimal import Decimal

import pytest

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.report.contradictions import contradictions
from safety_reasoning.eval.report.paper_averages import RULES, averages_again
from safety_reasoning.eval.report.paper_tables import paper_cell, paper_tables
from safety_reasoning.eval.report.paper_text import models, paper_figures, statements

SHAPES = {
    **{1: (15, 6), 2: (6, 3), 3: (6, 6), 4: (4, 6), 5: (10, 6), 6: (10, 5)},
    **{7: (10, 11), 8: (6, 12), 9: (7, 6), 10: (7, 6), 11: (7, 5), 12: (6, 12)},
}
"""Rows and columns of each table of the paper."""


def test_every_table_has_the_rows_and_columns_of_the_paper() -> None:
    assert {n: (len(table.rows), len(table.columns)) for n, table in paper_tables().items()} == SHAPES


@pytest.mark.parametrize("number", SHAPES)
def test_every_cell_of_a_table_has_an_address(number: int) -> None:
    table = paper_tables()[number]
    for row in table.rows:
        assert len(row.cells) == len(table.columns)
        for cell in row.cells:
            assert paper_cell(number, row.name, cell.column) is cell
            assert 0 <= cell.value <= 1
    assert len({row.name for row in table.rows}) == len(table.rows)
    assert len({column.name for column in table.columns}) == len(table.columns)
    assert len({(column.of, column.measure) for column in table.columns}) == len(table.columns)


@pytest.mark.parametrize(
    ("table", "row", "column", "printed"),
    [
        (1, "wildguard", "prompt", "0.825"),
        (1, "deepseek_distill_llama_8b", "resp", "0.615"),
        (1, "l31_aegis_r_1sentence", "custom_avg", "0.843"),
        (2, "l31_wildguardmix_tf_r", "cosa", "0.909"),
        (3, "l31_aegis_r_full", "cosa", "0.022"),
        (4, "l31_wildguardmix_r_random_500", "prompt_std", "0.029"),
        (4, "l31_wildguardmix_r_random_5000", "overall_avg", "0.840"),
        (5, "l31_wildguardmix_nr", "simple_safety", "1.000"),
        (5, "l31_aegis_r_1sentence", "toxicchat", "0.706"),
        (6, "l31_wildguardmix_dual_r", "jbb", "0.896"),
        (7, "l31_aegis_r_1sentence", "fin", "0.79"),
        (7, "l31_wildguardmix_r_full", "overall_avg", "0.882"),
        (8, "l31_aegis_tf_r", "overall", "0.872"),
        (9, "gemma3_4b", "resp", "0.588"),
        (10, "gemma3_wildguardmix_nr", "openai_mod", "0.657"),
        (11, "gemma3_4b", "xstest", "0.441"),
        (12, "gemma3_wildguardmix_tf_r", "book", "0.923"),
    ],
)
def test_a_cell_is_as_it_was_printed_with_its_digits(table: int, row: str, column: str, printed: str) -> None:
    cell = paper_cell(table, row, column)
    assert str(cell.value) == printed
    assert cell.slack == Decimal(5) / 10 ** (len(printed) - 1)


@pytest.mark.parametrize(
    ("place", "what", "fix"),
    [
        ((13, "wildguard", "prompt"), "no Table 13", "1, 2, 3"),
        ((1, "llamaguard", "prompt"), "no row llamaguard", "wildguard, aegis2"),
        ((1, "wildguard", "f2"), "no column f2", "prompt, resp"),
    ],
)
def test_a_cell_that_is_not_there_is_an_error_naming_what_is(place: tuple[int, str, str], what: str, fix: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        paper_cell(*place)
    assert fix in caught.value.fix


def test_every_row_is_a_known_model_and_every_other_model_a_point_of_figure_3() -> None:
    rows = {row.name for table in paper_tables().values() for row in table.rows}
    assert set(models()) - rows == {f"l31_wildguardmix_r_{n}sentences" for n in range(2, 11)}
    assert rows <= set(models())


def test_every_column_is_a_task_or_an_average_and_the_averages_name_their_tasks() -> None:
    columns = {column.of for table in paper_tables().values() for column in table.columns}
    parts = {part for rules in RULES.values() for rule in rules for part in rule.parts}
    assert columns == parts | {"safety9", "custom_mean2"}


def test_the_figures_say_what_is_only_drawn() -> None:
    numbers = {n: [(one.row, str(one.value)) for one in figure.numbers] for n, figure in paper_figures().items()}
    full, short = "l31_wildguardmix_r_full", "l31_wildguardmix_r_1sentence"
    assert numbers == {
        2: [],
        3: [(short, "15"), (full, "300"), (full, "15")],
        4: [("l31_wildguardmix_nr", "0.019"), (full, "170.7"), (short, "34.9")],
        5: [],
    }
    assert all("only drawn" in figure.drawn for figure in paper_figures().values())


# averages


def test_prompt_and_response_averages_follow_their_rule_wherever_the_tasks_are_printed() -> None:
    for average in averages_again(paper_tables()):
        if average.cell.of in ("prompt5", "resp4") or (average.cell.of == "safety9" and average.cell.table != 4):
            assert average.rules == {average.cell.of}, average.cell.place


def test_an_average_by_hand() -> None:
    """Table 1's first row: (5 × 0.825 + 4 × 0.841) / 9, and (4 × 0.604 + 5 × 0.755) / 9."""
    found = {average.cell.place: average for average in averages_again(paper_tables())}
    (safety,) = found["Table 1, wildguard, avg"].again
    assert round(safety.value, 6) == Decimal("0.832111")
    assert (safety.slack, safety.agrees) == (Decimal("0.0005"), True)
    mean2, nine = found["Table 1, wildguard, custom_avg"].again
    assert (mean2.rule, mean2.value, mean2.agrees) == ("custom_mean2", Decimal("0.6795"), False)
    assert (nine.rule, round(nine.value, 6), nine.agrees) == ("custom9", Decimal("0.687889"), True)


def test_standard_deviations_are_not_averaged() -> None:
    assert not [one for one in averages_again(paper_tables()) if one.cell.measure.startswith("std")]


def test_no_fixed_weights_of_the_four_tasks_give_the_dynaguardrail_averages() -> None:
    """A linear program over the weights: the largest distance that the best of them leave, beyond rounding."""
    from scipy.optimize import linprog  # type: ignore[import-untyped]  # it ships no types

    above, below, bounds_above, bounds_below = [], [], [], []
    for row in (row for number in (7, 8) for row in paper_tables()[number].rows):
        tasks = [float(cell.value) for cell in row.cells if cell.of.startswith("dynaguardrail")]
        (average,) = (float(cell.value) for cell in row.cells if cell.of == "dyna4")
        above.append([*tasks, -1.0])
        below.append([*(-value for value in tasks), -1.0])
        bounds_above.append(average + 0.001)
        bounds_below.append(0.001 - average)
    found = linprog(
        [0, 0, 0, 0, 1],
        A_ub=above + below,
        b_ub=bounds_above + bounds_below,
        A_eq=[[1, 1, 1, 1, 0]],
        b_eq=[1],
        bounds=[(0, 1)] * 4 + [(0, None)],
    )
    assert found.status == 0
    assert round(found.fun, 3) == 0.008


# contradictions


def test_the_contradictions_of_the_paper() -> None:
    found = contradictions()
    counts = (found.twice, found.without_rule, found.other_rule, found.statements, found.words)
    assert tuple(map(len, counts)) == (17, 31, 9, 5, 3)
    assert found.total == 65
    assert Counter(one.cell.of for one in found.without_rule) == {"dyna4": 28, "cosa5": 2, "safety9": 1}


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ((1, "l31_wildguardmix_dual_r", "prompt"), (5, "l31_wildguardmix_dual_r", "avg")),
        ((1, "l31_aegis_r_full", "dynaguard"), (7, "l31_aegis_r_full", "dyn_avg")),
        ((1, "l31_aegis_r_1sentence", "cosa"), (7, "l31_aegis_r_1sentence", "overall_avg")),
        ((7, "l31_aegis_r_full", "prosec"), (8, "l31_aegis_r_full", "prosec")),
        ((9, "gemma3_4b", "custom_avg"), (12, "gemma3_4b", "overall")),
    ],
)
def test_a_number_that_is_printed_otherwise_elsewhere_is_found(
    first: tuple[int, str, str], other: tuple[int, str, str]
) -> None:
    pairs = {(one.first.place, one.other.place) for one in contradictions().twice}
    assert (paper_cell(*first).place, paper_cell(*other).place) in pairs


def test_a_statement_that_its_cells_contradict_is_found_and_the_others_hold() -> None:
    wrong = {one.where for one in contradictions().statements}
    assert wrong == {"Section 5.7", "Section 6.1", "Appendix C", "Appendix D"}
    assert sum(one.holds for one in statements()) == len(statements()) - 5
