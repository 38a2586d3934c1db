"""The report's counts of verdicts and of the judge's opinions, held against the script of the teachers."""

from pathlib import Path

import pytest

from tests.changed_teacher import changed
from tests.conftest import build_here
from tests.reports import LONGER, MODES, Made, made, one, recipe, reported, rows, scripted

__all__ = ["made"]  # the fixture

# mismatch


@pytest.mark.parametrize(
    ("field", "value", "verdicts", "mismatches"),
    [
        pytest.param("every sample", None, 16, 5, id="all"),
        pytest.param("violated_categories", "Violence", 8, 2, id="a category"),
        pytest.param("violated_categories", "Threat", 8, 2, id="another category of the same samples"),
        pytest.param("violated_categories", "none named", 8, 3, id="no category"),
        pytest.param("prompt_harm_label", "harmful", 8, 2, id="prompt label"),
        pytest.param("response_harm_label", "unharmful", 6, 3, id="response label"),
        pytest.param("response_harm_label", "none", 10, 2, id="no response label"),
    ],
)
def test_mismatch_is_counted_by_category_and_label(
    made: Made, field: str, value: str | None, verdicts: int, mismatches: int
) -> None:
    line = one(made[1], "mismatch_content_safety", field=field, value=value, teacher="b")
    assert (line["verdicts"], line["mismatches"]) == (verdicts, mismatches)
    assert line["share"] == round(mismatches / verdicts, 4)
    assert (line["low"], line["high"]) == wilson(mismatches, verdicts)
    a = one(made[1], "mismatch_content_safety", field=field, value=value, teacher="a")
    assert (a["verdicts"], a["mismatches"]) == (verdicts, 0)


def wilson(part: int, whole: int) -> tuple[float, float]:
    """As Wilson (1927) writes it."""
    z, p = 1.959963984540054, part / whole
    middle = (p + z**2 / (2 * whole)) / (1 + z**2 / whole)
    half = z / (1 + z**2 / whole) * (p * (1 - p) / whole + z**2 / (4 * whole**2)) ** 0.5
    return round(middle - half, 4), round(middle + half, 4)


def test_an_answer_without_a_verdict_is_a_mismatch_and_is_told_apart(made: Made) -> None:
    line = one(made[1], "mismatch_content_safety", field="every sample", teacher="b")
    assert (line["mismatches"], line["unparsed"]) == (5, 1)


def test_mismatch_is_counted_by_domain(made: Made) -> None:
    line = one(made[1], "mismatch_topic_control", field="domain", value="banking", teacher="a")
    assert (line["verdicts"], line["mismatches"], line["low"]) == (3, 0, 0.0)


@pytest.mark.parametrize(
    ("retry", "verdicts", "mismatches"),
    [
        pytest.param({}, 4, 1, id="rows 3, 7, 11 and 15 truncated"),
        pytest.param({"retry_max_tokens": LONGER}, 8, 3, id="asked once more with a larger limit"),
    ],
)
def test_a_blind_recipe_counts_the_blind_verdicts(
    tmp_path: Path, retry: dict[str, int], verdicts: int, mismatches: int
) -> None:
    """Told no label, the scripted teacher says harmful of every prompt and nothing of a response (rows 3, 9, 15)."""
    with changed(scripted) as live:
        path = recipe(tmp_path, live, verdict="blind", keep="any", teacher={"predict": {"max_tokens": 50} | retry})
        build_here(path)
    report = reported(path)
    harmful = one(report, "mismatch_content_safety", field="prompt_harm_label", value="harmful", teacher="a")
    assert (harmful["verdicts"], harmful["mismatches"]) == (verdicts, mismatches)
    others = one(report, "mismatch_content_safety", field="prompt_harm_label", value="unharmful", teacher="a")
    assert (others["verdicts"], others["mismatches"]) == (8, 8)
    assert "does not tell the teacher the label" in next(s.text for s in report.sections if s.name == "mismatch")


# agreement


def test_agreement_of_two_teachers_by_label(made: Made) -> None:
    prompt = one(made[1], "agreement", label="prompt harm")
    assert (prompt["first"], prompt["second"], prompt["both"], prompt["same"], prompt["one"]) == ("a", "b", 15, 11, 1)
    chance = (8 * 8 + 7 * 7) / 15**2  # a and b each say harmful of 8 and unharmful of 7
    assert prompt["kappa"] == round((11 / 15 - chance) / (1 - chance), 4)
    response = one(made[1], "agreement", label="response harm")
    assert (response["both"], response["same"], response["kappa"], response["one"]) == (5, 5, None, 1)
    topic = one(made[1], "agreement", task="topic_control")
    assert (topic["both"], topic["same"], topic["kappa"]) == (3, 3, 1.0)


def test_agreement_of_all_teachers(made: Made) -> None:
    line = one(made[1], "alpha", label="prompt harm")
    assert (line["teachers"], line["samples"], line["verdicts"]) == (2, 15, 30)
    assert line["alpha"] == round(1 - 29 * (2 * 4) / (2 * 16 * 14), 4)  # Krippendorff (2011), nominal
    assert one(made[1], "alpha", label="topic")["alpha"] == 1.0


# the judge


def test_what_the_judge_says_is_counted_and_so_is_what_it_could_not_judge(made: Made) -> None:
    found = {r["outcome"]: (r["traces"], r["share"]) for r in rows(made[1], "judge", teacher="a", step="full")}
    assert found == {
        "fault found": (19, round(19 / 33, 4)),
        "no_json": (1, round(1 / 33, 4)),
        "nothing found": (13, round(13 / 33, 4)),
    }


def test_the_judge_is_held_against_the_rules(made: Made) -> None:
    leak, overthinking = rows(made[1], "judge_against_rules")
    assert leak == {
        "mode": "label_leak", "rule": "on", "both": 32, "judge": 0, "rules": 0, "neither": 62, "kappa": 1.0
    }  # fmt: skip
    assert overthinking == {
        "mode": "overthinking", "rule": "on", "both": 0, "judge": 6, "rules": 0, "neither": 88, "kappa": 0.0
    }  # fmt: skip


def test_a_judge_that_is_asked_about_kept_traces_gives_no_kappa(tmp_path: Path) -> None:
    with changed(scripted) as live:
        judge = {"name": "j", "engine": "openai", "model": "scripted-judge", "base_urls": [live.url], "modes": MODES}
        path = recipe(tmp_path, live, judge=judge, filters={"off": ["label_leak"]})
        build_here(path)
    leak, overthinking = rows(reported(path), "judge_against_rules")
    assert (leak["rule"], leak["both"], leak["judge"], leak["kappa"]) == ("off", 0, 32, None)
    assert (overthinking["rule"], overthinking["judge"], overthinking["kappa"]) == ("on", 6, None)


def test_a_recipe_without_judge_has_no_table_of_one(tmp_path: Path) -> None:
    with changed(scripted) as live:
        path = recipe(tmp_path, live, judge=None)
        build_here(path)
    assert not {"judge", "judge_against_rules"} & set(reported(path).as_json()["tables"])
