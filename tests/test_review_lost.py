"""Marks that cannot be saved at once, in a real Chromium: none is lost."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from safety_reasoning.builders.recipe import load_recipe
from tests.browser import needs_chromium
from tests.review_tabs import open_review, press, saved, shows
from tests.reviews import Served, fill, marks_in, review_recipe, reviewing, teacher_says

pytest_plugins = ["tests.browser_fixture"]
pytestmark = [pytest.mark.browser, needs_chromium]


@contextmanager
def read_by_anna(folder: Path, context: BrowserContext) -> Iterator[tuple[Path, Served, Page]]:
    """A recipe of 21 traces, its page, and a tab in which Anna is at the first of them."""
    recipe = review_recipe(folder)
    fill(recipe, teacher_says)
    with reviewing(recipe) as served:
        yield recipe, served, open_review(context, served.address, "Anna")


def test_kill_9_after_saved_loses_nothing_and_what_was_not_saved_is_sent_to_the_next_server(
    tmp_path: Path, context: BrowserContext
) -> None:
    with read_by_anna(tmp_path, context) as (recipe, served, page):
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
    with read_by_anna(tmp_path, context) as (recipe, _, page):
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
