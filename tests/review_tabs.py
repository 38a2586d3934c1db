"""The review page in a tab of a browser: what its reviewers do and wait for."""

import re

from playwright.sync_api import BrowserContext, Page, expect


def open_review(context: BrowserContext, address: str, reviewer: str) -> Page:
    """The review page in a new tab, the name typed in, at its first trace."""
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#ask")).to_be_visible()
    page.keyboard.type(reviewer)
    page.keyboard.press("Enter")
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.locator("#place")).to_have_text(re.compile(r"Trace \d+ of"))
    return page


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
