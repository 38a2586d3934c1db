"""The review page in a real Chromium."""

import http.client
import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.builders.recipe import load_recipe
from safety_reasoning.filters.quality import FILTERS
from safety_reasoning.review.marks import KEYS, Findings
from tests.browser import chromium, needs_chromium, open_review
from tests.reviews import (
    GOOD,
    SAFE,
    SHORT,
    Served,
    agreed,
    drawn,
    fill,
    marks_in,
    opinion,
    review_recipe,
    reviewing,
    teacher_says,
)

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    yield made
    made.close()


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """One page for tests whose reviewers have names of their own, and its recipe."""
    recipe = review_recipe(tmp_path_factory.mktemp("review"))
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        yield served, recipe


def modes_by(recipe: Path, reviewer: str) -> list[tuple[str, ...]]:
    return [mark.modes or () for (name, _), mark in marks_in(recipe).items() if name == reviewer]


def at(page: Page) -> str:
    """The key of the trace that is shown."""
    return str(page.url.split("at=")[1].split("&")[0])


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def write(page: Page, text: str) -> None:
    """Into the note, once it has the focus: before that, letters are keys."""
    press(page, "n")
    expect(page.locator("#note")).to_be_focused()
    page.keyboard.type(text)


def saved(page: Page, number: int) -> None:
    expect(page.locator("#status")).to_contain_text(f"Saved: trace {number},")


def shows(page: Page, number: int, of: int) -> None:
    """The page has come to the trace, so that nothing is asked of the server for it any more."""
    expect(page.locator("#place")).to_have_text(f"Trace {number} of {of}")


def test_ten_traces_are_read_by_keyboard_alone(review: tuple[Served, Path], context: BrowserContext) -> None:
    served, recipe = review
    given: list[tuple[str, ...]] = [
        *(("l",), ("c",), (" ",), ("v", "f"), ("x", "n"), ("r", "d", "r"), ("l", "c"), ("c", "t"), ("w",), ("c",))
    ]
    expected: list[tuple[tuple[str, ...], str]] = [
        *((("label_leak",), ""), ((), ""), ((), ""), (("contradicts_verdict", "unfounded"), "")),
        *((("other",), "two lines\nof a note"), (("near_duplicate",), ""), ((), ""), (("truncated",), "")),
        *((("wrong_language",), ""), ((), "")),
    ]
    page = open_review(context, served.address, "Keyboard")
    read = []
    for number, keys in enumerate(given, start=1):
        shows(page, number, 21)
        read.append(at(page))
        press(page, *(key for key in keys if key != "n"))
        if keys[-1] == "n":
            write(page, "two lines")
            press(page, "Shift+Enter")
            page.keyboard.type("of a note")
        press(page, "Enter")
        saved(page, number)
    expect(page.locator("#count")).to_have_text("10 of 21 marked")
    marks = marks_in(recipe)
    assert [(marks["Keyboard", key].modes, marks["Keyboard", key].note) for key in read] == expected
    assert {marks["Keyboard", key].findings for key in read} == {Findings.LATER}


def test_a_reload_keeps_the_position_the_marks_the_notes_and_what_is_not_saved(
    review: tuple[Served, Path], context: BrowserContext
) -> None:
    served, recipe = review
    page = open_review(context, served.address, "Reload")
    press(page, "o")
    write(page, "circles")
    press(page, "Enter")
    saved(page, 1)
    press(page, "c", "Enter")
    saved(page, 2)
    shows(page, 3, 21)
    press(page, "p")
    write(page, "half a thou")
    page.reload()
    shows(page, 3, 21)
    expect(page.locator("#who")).to_have_text("Reload")
    expect(page.locator("#count")).to_have_text("2 of 21 marked")
    expect(page.locator("#mode-prompt_copied")).to_be_checked()
    expect(page.locator("#note")).to_have_value("half a thou")
    expect(page.locator("#state")).to_have_text("not saved")
    press(page, "ArrowLeft")
    expect(page.locator("#clean")).to_be_checked()
    press(page, "ArrowLeft")
    expect(page.locator("#mode-overthinking")).to_be_checked()
    expect(page.locator("#note")).to_have_value("circles")
    expect(page.locator("#state")).to_have_text("saved")
    assert sorted(modes_by(recipe, "Reload")) == [(), ("overthinking",)]


def test_undo_takes_back_the_last_choice_and_then_the_last_mark(
    review: tuple[Served, Path], context: BrowserContext
) -> None:
    served, recipe = review
    page = open_review(context, served.address, "Undo")
    press(page, "Enter")
    expect(page.locator("#status")).to_contain_text("Nothing is chosen")
    press(page, "l", "g", "u", "Enter")
    saved(page, 1)
    assert modes_by(recipe, "Undo") == [("label_leak",)]
    press(page, "u")
    shows(page, 1, 21)
    expect(page.locator("#status")).to_contain_text("not marked any more")
    expect(page.locator("#state")).to_have_text("not saved")
    assert not modes_by(recipe, "Undo")
    press(page, "Enter")
    saved(page, 1)
    assert modes_by(recipe, "Undo") == [("label_leak",)]


def test_every_mode_has_its_key_and_its_place_in_the_help(review: tuple[Served, Path], context: BrowserContext) -> None:
    served, _ = review
    page = open_review(context, served.address, "Keys")
    for mode, key in KEYS.items():
        press(page, key)
        expect(page.locator(f"#mode-{mode}")).to_be_checked()
    press(page, "?")
    expect(page.locator("#help")).to_be_visible()
    assert page.locator("#explained dt").count() == len(KEYS)
    press(page, "l", "Escape")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#mode-label_leak")).to_be_checked()
    press(page, "/")
    expect(page.locator("#case")).to_be_focused()
    press(page, "/")
    expect(page.locator("#reading")).to_be_focused()


def test_letters_can_be_turned_off_and_are_found_on_keyboards_of_other_scripts(
    review: tuple[Served, Path], context: BrowserContext
) -> None:
    page = open_review(context, review[0].address, "Letters")
    page.locator("body").dispatch_event("keydown", {"key": "д", "code": "KeyL", "bubbles": True})
    expect(page.locator("#mode-label_leak")).to_be_checked()
    press(page, "?")
    page.get_by_label("Single letters are keys").uncheck()
    press(page, "Escape", "o", "c", "l")
    page.reload()
    expect(page.locator("#mode-label_leak")).to_be_checked()
    press(page, "o", "c", "l", "Enter")
    saved(page, 1)
    assert modes_by(review[1], "Letters") == [("label_leak",)]


def test_what_is_other_wants_a_note_and_the_end_is_told(tmp_path: Path, context: BrowserContext) -> None:
    recipe = review_recipe(tmp_path, 1)
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        page = open_review(context, served.address, "Anna")
        press(page, "x", "Enter")
        expect(page.locator("#note")).to_be_focused()
        expect(page.locator("#status")).to_contain_text("Say in the note what is wrong")
        page.keyboard.type("the answer is a poem")
        press(page, "Enter")
        expect(page.locator("#status")).to_contain_text("Every trace is marked.")
        expect(page.locator("#count")).to_have_text("1 of 1 marked")
    assert [mark.note for mark in marks_in(recipe).values()] == ["the answer is a poem"]


HOSTILE = {
    "script": "<script>window.__x = 1</script></pre><script src=//evil.invalid/x.js></script>",
    "image": '<img src=x onerror="window.__x=1"><svg onload=alert(1)><iframe src="//evil.invalid">',
    "templates": "{{ 7 * 7 }} {% raw %} ${window.__x=1} %s {0} &lt;b&gt; \\u003cb\\u003e",
    "right to left": "שלום \u202eevil\u202c مرحبا \u2066x\u2069",
    "surrogates": "half a pair \ud83d and a whole one 🧪, \x00 and \x1b[31m",
    "megabyte": "<b>x</b> " * 120_000,
    "one line": "y" * 1_000_000,
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, dict[str, str]]]:
    """A page over a trace of each text, in a case of the same text, and the traces' keys."""
    prompts = {text.encode("utf-8", "replace").decode(): text for text in HOSTILE.values()}  # no source lets \ud83d in
    off = [check.__name__ for check in FILTERS]  # what they say of these is not the question
    recipe = review_recipe(tmp_path_factory.mktemp("hostile"), prompts=list(prompts), filters={"off": off})

    def says(call: Call) -> tuple[str, str]:
        if call.step is not Step.FULL:
            return "", SHORT
        text = prompts[call.variables["prompt"]]
        return text, f"{SAFE}\n\n{text}"

    loaded = fill(recipe, says)
    names = {text.strip(): name for name, text in HOSTILE.items()}
    keys = {names[str(one.tried.sifted.trace)]: one.key for one in drawn(loaded, steps={"full"})}
    with reviewing(recipe, "--show", "--step", "full") as served:
        yield served, keys


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(hostile: tuple[Served, dict[str, str]], context: BrowserContext, name: str) -> None:
    served, keys = hostile
    text = HOSTILE[name]
    asked: list[str] = []
    troubles: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"{served.address}&at={keys[name]}&reviewer=<img src=x onerror=alert(1)>")
    expect(page.locator("#found")).to_be_visible()
    assert at(page) == keys[name]
    trace = page.locator("#trace").text_content() or ""
    assert trace.encode("utf-16", "surrogatepass") == text.strip().encode("utf-16", "surrogatepass")
    write(page, "")
    page.keyboard.insert_text(text[:200].encode("utf-8", "replace").decode().replace("\0", ""))
    press(page, "Escape", "o", "End", "PageUp", "Enter")
    expect(page.locator("#status")).to_contain_text("Saved: trace")
    assert page.evaluate("window.__x") is None
    assert page.locator("script").count() == 1
    assert page.locator("main :is(img, svg, iframe, script, pre b), header img").count() == 0
    assert not troubles
    assert {url.split("/")[2] for url in asked} == {f"127.0.0.1:{served.port}"}


def test_unseen_characters_are_labelled_and_their_text_is_kept(tmp_path: Path, context: BrowserContext) -> None:
    recipe = review_recipe(tmp_path, 1)
    fill(recipe, lambda call: (f"{GOOD} a\u202eb\x00c", SAFE) if call.step is Step.FULL else ("", SHORT))
    with reviewing(recipe, "--step", "full") as served:
        page = open_review(context, served.address, "Anna")
        marks = page.locator("#trace .unseen")
        assert [mark.get_attribute("data-name") for mark in marks.all()] == ["U+202E", "U+0000"]
        assert (page.locator("#trace").text_content() or "").endswith("a\u202eb\x00c")


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


def test_kill_9_after_saved_loses_nothing_and_what_was_not_saved_is_sent_to_the_next_server(
    tmp_path: Path, context: BrowserContext
) -> None:
    recipe = review_recipe(tmp_path)
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        page = open_review(context, served.address, "Anna")
        press(page, "l", "Enter")
        saved(page, 1)
        shows(page, 2, 21)
        served.process.send_signal(signal.SIGKILL)
        served.process.wait(timeout=30)
        assert [mark.modes for mark in marks_in(recipe).values()] == [("label_leak",)]
        press(page, "t", "Enter")
        expect(page.locator("#problem")).to_contain_text("1 not saved yet: the server does not answer")
    with reviewing(recipe, "--port", str(served.port)) as again:
        page.goto(again.address)  # in the same tab: only what stands after # is another
        expect(page.locator("#ask")).to_be_visible()
        press(page, "Enter")
        saved(page, 2)
        expect(page.locator("#problem")).to_be_hidden()
        expect(page.locator("#count")).to_have_text("2 of 21 marked")
    assert sorted(mark.modes or () for mark in marks_in(recipe).values()) == [("label_leak",), ("truncated",)]


def test_a_store_that_cannot_be_written_is_told_and_the_mark_is_saved_when_it_can(
    tmp_path: Path, context: BrowserContext
) -> None:
    recipe = review_recipe(tmp_path)
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        page = open_review(context, served.address, "Anna")
        other = sqlite3.connect(load_recipe(recipe).release.store)
        other.execute("BEGIN IMMEDIATE")
        press(page, "l", "Enter")
        shows(page, 2, 21)
        expect(page.locator("#problem")).to_contain_text("1 not saved yet: the marks in")
        expect(page.locator("#problem")).to_contain_text("database is locked")
        assert not marks_in(recipe)
        other.rollback()
        other.close()
        saved(page, 1)
        expect(page.locator("#problem")).to_be_hidden()
    assert [mark.modes for mark in marks_in(recipe).values()] == [("label_leak",)]


def test_the_page_fits_a_width_of_400_and_can_be_used_without_keys(
    review: tuple[Served, Path], browser: Browser
) -> None:
    narrow = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme="dark", has_touch=True)
    page = open_review(narrow, review[0].address, "Touch")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.get_by_label("label leak").tap()
    page.get_by_role("button", name="Save, next").tap()
    saved(page, 1)
    page.get_by_role("button", name="Previous trace").tap()
    expect(page.get_by_label("label leak")).to_be_checked()
    page.get_by_role("button", name="Undo").tap()
    expect(page.locator("#status")).to_contain_text("not marked any more")
    narrow.close()
