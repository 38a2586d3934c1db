"""Figure 5: the length of rewrites against their budget of sentences, for whatever budgets a store holds."""

import re
import statistics
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.pages.tables import Table
from safety_reasoning.review.figures import budgets_figure, lengths_figure
from safety_reasoning.review.report_statistics import fit_line
from safety_reasoning.review.tables_budgets import Budgets, budget_tables, count_budgets
from safety_reasoning.review.tables_lengths import quantile
from tests.changed_teacher import asked, changed
from tests.conftest import openai_teacher, write_aegis, write_recipe
from tests.reports import reported, row
from tests.stores import reply

BUDGETS = (1, 2, 4, 7)
SVG = "{http://www.w3.org/2000/svg}"


def rewrite(number: int, teacher: str, budget: int, text: str, **changes: Any) -> Reply:
    return reply(number, teacher=teacher, step=Step.efficient(budget), reasoning=None, answer=text, **changes)


def sentences(count: int, words: int) -> str:
    return " ".join(["Plain " + "word " * (words - 2) + "here."] * count)


def made(*replies: Reply) -> tuple[Budgets, dict[str, Table]]:
    budgets = count_budgets(replies)
    return budgets, {table.name: table for table in budget_tables(budgets)}


def lines(tables: dict[str, Table]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(line["teacher"], line["measure"]): line for line in tables["budget_lines"].as_json()["rows"]}


def test_rewrites_of_equal_sentences_lie_on_a_line_and_their_sentences_are_level() -> None:
    _, tables = made(*(rewrite(n, "a", n, sentences(n, 6)) for n in range(1, 11)))
    found = lines(tables)
    trace = found["a", "words in a trace"]
    assert (trace["budgets"], trace["slope"], trace["low"], trace["high"], trace["intercept"], trace["r_squared"]) == (
        *(10, 6.0, 6.0, 6.0),
        *(pytest.approx(0.0, abs=1e-9), 1.0),
    )
    sentence = found["a", "words in a sentence"]
    assert (sentence["slope"], sentence["intercept"], sentence["r_squared"]) == (0.0, 6.0, None)
    assert [tuple(line) for line in tables["budgets"].rows] == [
        ("a", n, 1, 6.0 * n, float(n), 6.0, 1, 1.0) for n in range(1, 11)
    ]


def test_one_long_sentence_in_place_of_several_shows_in_the_words_of_a_sentence() -> None:
    _, tables = made(*(rewrite(n, "a", n, sentences(1, 8 * n)) for n in range(1, 6)))
    found = lines(tables)
    assert found["a", "words in a trace"]["slope"] == found["a", "words in a sentence"]["slope"] == 8.0


def test_a_rewrite_beyond_its_budget_is_counted_as_such() -> None:
    texts = [sentences(2, 5), sentences(3, 5), sentences(4, 5)]
    _, tables = made(*(rewrite(n, "a", 3, text) for n, text in enumerate(texts)))
    (line,) = tables["budgets"].as_json()["rows"]
    assert (line["rewrites"], line["sentences"], line["within"], line["within_share"]) == (3, 3.0, 2, round(2 / 3, 4))


def test_only_usable_rewrites_count() -> None:
    budgets, _ = made(
        rewrite(0, "a", 1, sentences(1, 5)),
        rewrite(1, "a", 1, "Half a", status=Status.TRUNCATED),
        reply(2, reasoning=sentences(9, 9)),
        reply(3, step=Step.JUDGE, answer="{}"),
    )
    assert {(teacher, n): of.rewrites for teacher, counted in budgets.items() for n, of in counted.items()} == {
        ("a", 1): 1
    }


@pytest.mark.parametrize("budgets", [(), (3,), (2, 5)], ids=["none", "one", "two"])
def test_too_few_budgets_are_said_and_give_no_interval(budgets: tuple[int, ...]) -> None:
    counted, tables = made(*(rewrite(n, "a", n, sentences(n, 6)) for n in budgets))
    if not budgets:
        assert tables == {}
        assert not budgets_figure(counted)
    elif len(budgets) == 1:
        assert tables["budget_lines"].rows == ()
        assert tables["budget_lines"].as_json()["note"].startswith("not enough budgets for a line")
        assert not budgets_figure(counted)
    else:
        line = lines(tables)["a", "words in a trace"]
        assert (line["slope"], line["low"], line["high"], line["r_squared"]) == (6.0, None, None, None)


def test_the_line_is_that_of_the_textbook() -> None:
    xs, ys = [1.0, 2.0, 4.0, 7.0], [14.0, 31.0, 48.0, 104.0]
    line = fit_line(xs, ys)
    assert line is not None
    slope, intercept = statistics.linear_regression(xs, ys)
    assert [line.slope, line.intercept] == pytest.approx([slope, intercept])
    assert line.r_squared == pytest.approx(statistics.correlation(xs, ys) ** 2)
    residual = sum((y - intercept - slope * x) ** 2 for x, y in zip(xs, ys, strict=True)) / 2
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    half = 4.302652729911275 * (residual / spread) ** 0.5  # Student's t with 2 degrees of freedom, 0.975
    assert [line.low, line.high] == pytest.approx([slope - half, slope + half])
    assert fit_line([2.0, 2.0], [1.0, 3.0]) is None


def test_a_store_that_several_recipes_filled_shows_all_of_its_budgets(tmp_path: Path) -> None:
    def change(body: dict[str, Any], completion: dict[str, Any]) -> None:
        text = body["messages"][-1]["content"]
        if "Below is the reasoning" in text:
            count = int(found[1]) if (found := re.search(r"at most (\d+) sentences", text)) else 1
            completion["choices"][0]["message"]["content"] = sentences(count, 4 + (body["model"] == "scripted-b"))

    path = tmp_path / "recipe.toml"
    with changed(change) as live:
        for budget in BUDGETS:
            write_recipe(
                path,
                sources=[{"kind": "aegis", "path": write_aegis(tmp_path / "aegis", [row(n) for n in range(3)])}],
                teachers=[openai_teacher(name, live.url) for name in "ab"],
                filters={"off": ["repetition", "near_duplicate", "no_reasoning"]},
                sentences=budget,
            )
            asked(path)
    report = reported(path)
    rows = report.table("budgets").as_json()["rows"]
    assert [(line["teacher"], line["budget"], line["rewrites"], line["words"]) for line in rows] == [
        (name, n, 3, float(n * words)) for name, words in (("a", 4), ("b", 5)) for n in BUDGETS
    ]
    fitted = report.table("budget_lines").as_json()["rows"]
    assert [line["slope"] for line in fitted if line["measure"] == "words in a trace"] == [4.0, 5.0]
    assert report.table("summary").as_json()["rows"][1]["asked"] == 3  # the recipe's own budget alone


def test_figures_are_drawings_with_words_for_those_who_do_not_see_them() -> None:
    names = ("a", "$\\frac{1}{2}$ <b>&\ud800\u202e")  # a store can name its teachers as it likes
    budgets, _ = made(
        *(rewrite(10 * t + n, name, n, sentences(n, 6 + t)) for t, name in enumerate(names) for n in (1, 2, 5))
    )
    figures = [budgets_figure(budgets), lengths_figure({(name, "full"): {12: 3, 40: 1} for name in names})]
    ids: list[str] = []
    for figure in figures:
        svg = ElementTree.fromstring(figure)  # noqa: S314 - our own
        assert svg.tag == f"{SVG}svg"
        assert svg.get("role") == "img"
        assert len(svg.get("aria-label", "")) > 40
        texts = {text.text for text in svg.iter(f"{SVG}text")}
        assert {"a", "$\\frac{1}{2}$ <b>&U+D800U+202E"} <= texts
        assert not list(svg.iter(f"{SVG}script"))
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"', "", figure)
        ids += [of for element in svg.iter() if (of := element.get("id"))]
    assert len(ids) == len(set(ids))


def test_a_figure_is_drawn_to_the_same_bytes_whatever_else_is_drawn() -> None:
    words = {("a", "full"): {12: 3, 40: 1}, ("a", "efficient"): {9: 4}}
    first = lengths_figure(words)
    budgets, _ = made(*(rewrite(n, "a", n, sentences(n, 6)) for n in (1, 2, 5)))
    budgets_figure(budgets)
    assert lengths_figure(words) == first
    assert not lengths_figure({})


@pytest.mark.parametrize(
    ("share", "expected"), [(0.05, 1), (0.5, 2), (0.75, 2), (0.76, 9), (1.0, 9)], ids=lambda value: str(value)
)
def test_a_quantile_is_a_length_that_there_is(share: float, expected: int) -> None:
    assert quantile({1: 1, 2: 2, 9: 1}, share) == expected
