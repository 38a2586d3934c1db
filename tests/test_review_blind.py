"""What reviewers learn of findings and of one another, in a real Chromium."""

import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Route, expect

from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.review.marks import Findings
from tests.browser import needs_chromium
from tests.review_tabs import at, open_review, press, saved, shows
from tests.reviews import SHORT, Served, agreed, fill, marks_in, opinion, review_recipe, reviewing, teacher_says

pytest_plugins = ["tests.browser_fixture"]
pytestmark = [pytest.mark.browser, needs_chromium]


def judged_says(call: Call) -> tuple[str, str]:
    """As `teacher_says`, with a judge that finds one thing, nothing, or cannot judge."""
    if call.step is not Step.JUDGE:
        return teacher_says(call)
    if "ground truth" in call.variables["reasoning"]:
        return "", opinion(unfounded="made-up evidence")
    return "", "no JSON" if call.variables["reasoning"] == SHORT else opinion()


@pytest.mark.parametrize("option", ["--blind", "after", "--show"])
def test_findings_reach_the_browser_only_when_they_may(tmp_path: Path, context: BrowserContext, option: str) -> None:
    recipe = review_recipe(tmp_path, judge=True)
    fill(recipe, judged_says)
    options = ["--reason", "label_leak"] + ([] if option == "after" else [option])
    with reviewing(recipe, *options) as served:
        sent: list[bytes] = []
        context.route("**/api/**", lambda route: note_and_pass(route, sent))
        page = open_review(context, served.address, "Anna")
        expect(page.locator("#found")).to_be_visible(visible=option == "--show")
        assert asked(served, f"/api/findings/{at(page)}?reviewer=Anna")[0] == (200 if option == "--show" else 403)
        before = b"".join(sent)
        press(page, "c", "Enter")
        saved(page, 1)
        press(page, "ArrowLeft")
        shows(page, 1, 3)
        expect(page.locator("#found")).to_be_visible(visible=option != "--blind")
        after = b"".join(sent)
        secrets = [b"made-up evidence", b'"filters"', b'"attempt"', b'"released"', b"stratum", b"judge_"]
        assert [any(secret in known for secret in secrets) for known in (before, after)] == {
            "--blind": [False, False],
            "after": [False, True],
            "--show": [True, True],
        }[option]
        assert asked(served, f"/api/findings/{at(page)}?reviewer=Anna")[0] == (403 if option == "--blind" else 200)
        context.unroute_all(behavior="wait")
    known = {"--blind": Findings.HIDDEN, "after": Findings.LATER, "--show": Findings.SEEN}[option]
    assert {mark.findings for mark in marks_in(recipe).values()} == {known}


def note_and_pass(route: Route, sent: list[bytes]) -> None:
    """Let the page's request through, and note head and body of the answer before the page can show anything of it."""
    response = route.fetch()
    if "/api/queue" not in route.request.url:  # which names every mode there is
        sent.append(json.dumps(response.headers).encode() + response.body())
    route.fulfill(response=response)


def asked(served: Served, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.request("GET", path, headers={"X-Review-Secret": served.secret})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_two_reviewers_in_two_tabs_and_how_far_they_agree(tmp_path: Path, context: BrowserContext) -> None:
    recipe = review_recipe(tmp_path)
    loaded = fill(recipe, teacher_says)
    with reviewing(recipe, "--step", "full", "--count", "6") as served:
        anna = open_review(context, served.address, "Anna")
        ben = open_review(context, served.address, "Ben")
        leaks = []
        for number in range(1, 7):
            for page in (anna, ben):
                shows(page, number, 6)
            assert at(anna) == at(ben)
            leaks.append("ground truth" in (anna.locator("#trace").text_content() or ""))
            right = "l" if leaks[-1] else "c"
            press(anna, right, "Enter")
            press(ben, "o" if leaks[-1] and leaks.count(True) == 1 else right, "Enter")
            saved(anna, number)
            saved(ben, number)
    assert sorted(leaks) == [False] * 3 + [True] * 3
    found = agreed(loaded)
    assert found.reviewers == {"Anna": 6, "Ben": 6}
    kappas = {one.mode: one.kappas["Anna", "Ben"] for one in found.between}
    alphas = {one.mode: one.alpha for one in found.between}
    filters = {score.mode: score for score in found.scores if score.finder == "filter"}
    # Of 6 traces, Anna says leak of 3. Ben says it of 2 of these, and overthinking of the third.
    # Agreed 5/6; by chance 3/6 * 2/6 + 3/6 * 4/6 = 1/2.
    assert kappas["label_leak"].agreed == 5
    assert kappas["label_leak"].value == pytest.approx((5 / 6 - 1 / 2) / (1 / 2))
    # 12 labels, 5 of them leak; 2 of the 12 in pairs that are unlike.
    assert alphas["label_leak"].value == pytest.approx(1 - 11 * 2 / (2 * 5 * 7))
    assert (filters["label_leak"].read.hits, filters["label_leak"].read.passes, filters["label_leak"].ties) == (2, 3, 1)
    # One of 12 labels is overthinking: agreed 5/6, by chance 5/6; half of two reviewers is a tie.
    assert kappas["overthinking"].value == pytest.approx(0)
    assert alphas["overthinking"].value == pytest.approx(0)
    assert filters["overthinking"].ties == 1
    # Both say that something is wrong with the same three.
    assert kappas["any"].value == pytest.approx(1)
    assert alphas["any"].value == pytest.approx(1)
