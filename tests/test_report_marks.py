"""The report's tables of what people marked, beside what the filters and the judge say."""

from pathlib import Path
from typing import Any

from safety_reasoning.builders.calls import Step
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.tried import Tried
from safety_reasoning.review.marks import Findings
from safety_reasoning.review.report import Report
from tests.reports import one, reported, rows
from tests.reviews import drawn, fill, mark_of, review_recipe, save_marks, teacher_says

LEAK = "label_leak"


def marked(path: Path, **modes_of: set[int]) -> Report:
    """The report after these reviewers have marked every full trace, as leaking the label for these rows."""
    recipe = fill(path, teacher_says)
    save_marks(recipe, list(marks(recipe, modes_of)))
    return reported(path)


def marks(recipe: Recipe, modes_of: dict[str, set[int]]) -> Any:
    for reviewer, leaking in modes_of.items():
        for trace in drawn(recipe, count=100):
            if trace.tried.sifted.reply.step is Step.FULL:
                modes = (LEAK,) if number(trace.tried) in leaking else ()
                yield mark_of(trace, reviewer, *modes, findings=Findings.SEEN if reviewer == "b" else Findings.LATER)


def number(tried: Tried) -> int:
    prompt: str = getattr(tried.sample, "prompt", "")
    return int(prompt.split("number ")[1].rstrip("?"))


def test_a_store_without_marks_says_so(tmp_path: Path) -> None:
    path = review_recipe(tmp_path)
    fill(path, teacher_says)
    report = reported(path)
    assert report.sections[-1].text == "Nobody has marked a trace of this store."
    assert "marks" not in report.as_json()["tables"]


def test_filters_and_judge_are_held_against_the_marks(tmp_path: Path) -> None:
    report = marked(review_recipe(tmp_path, judge=True), Anna={0, 4, 5, 6})  # 0, 4 and 8 leak, the judge finds nothing
    assert report.sections[-1].text == "Marked traces: 12. Reviewers and the traces of each: Anna (12)."
    rules = one(report, "marks", finder="filter", mode=LEAK)
    assert (rules["hits"], rules["false_alarms"], rules["misses"], rules["passes"]) == (2, 1, 2, 7)
    assert (rules["precision"], rules["recall"]) == (round(2 / 3, 4), 0.5)
    assert (rules["weighted_precision"], rules["weighted_recall"]) == (round(2 / 3, 4), 0.5)  # all of them were read
    judge = one(report, "marks", finder="judge", mode=LEAK)
    assert (judge["hits"], judge["misses"], judge["precision"], judge["recall"]) == (0, 4, None, 0.0)
    assert rows(report, "marks", finder="filter", mode="any")[0]["hits"] == 2
    assert "reviewers" not in report.as_json()["tables"]


def test_two_reviewers_are_held_against_each_other(tmp_path: Path) -> None:
    report = marked(review_recipe(tmp_path), a={0, 4, 8}, b={0, 4, 5})
    assert report.sections[-1].text.endswith("findings in sight: 12.")
    line = one(report, "reviewers", mode=LEAK)
    kappa = (10 / 12 - (9 + 81) / 144) / (1 - (9 + 81) / 144)
    assert (line["traces"], line["low"], line["high"]) == (12, round(kappa, 4), round(kappa, 4))
    assert line["alpha"] == round(1 - 23 * (2 * 2) / (2 * 6 * 18), 4)
    assert one(report, "marks", mode=LEAK)["ties"] == 2
