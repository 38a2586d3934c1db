"""The review page in a real Chromium: how traces are read and marked."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Route, expect

from safety_reasoning.review.marks import KEYS, Findings
from tests.browser import needs_chromium
from tests.review_tabs import at, open_review, press, saved, shows, write
from tests.reviews import Served, fill, marks_in, review_recipe, reviewing, teacher_says

pytest_plugins = ["tests.browser_fixture"]
pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """One page for tests whose reviewers have names of their own, and its recipe."""
    recipe = review_recipe(tmp_path_factory.mktemp("review"))
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        yield served, recipe


def modes_by(recipe: Path, reviewer: str) -> list[tuple[str, ...]]:
    return [mark.modes or () for (name, _), mark in marks_in(recipe).items() if name == reviewer]


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


def test_a_late_word_of_an_old_mark_does_not_cover_what_was_said_since(
    review: tuple[Served, Path], context: BrowserContext
) -> None:
    held: list[Route] = []
    context.route("**/api/findings/**", lambda route: held.append(route))
    page = open_review(context, review[0].address, "Late")
    with page.expect_request("**/api/findings/**"):
        press(page, "c", "Enter")
    saved(page, 1)
    shows(page, 2, 21)
    press(page, "l")
    expect(page.locator("#status")).to_have_text("label leak: chosen")
    with page.expect_response("**/api/findings/**"):
        held[0].continue_()
    page.wait_for_timeout(300)  # ms, for what the page would say of it
    assert page.locator("#status").text_content() == "label leak: chosen"
