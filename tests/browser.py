"""The machine's own Chromium, driven by Playwright.

As a script it makes the picture of the review page again, from the store of the quickstart:

    make quickstart
    python -m tests.browser docs/review.png
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: no chromium or google-chrome is installed"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a new profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


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


def picture(out: Path) -> None:
    """The page as a reviewer sees it who has gone back to a trace, marked it and sees what was found."""
    from PIL import Image

    from tests.conftest import ROOT
    from tests.reviews import reviewing

    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.toml"
        text = (ROOT / "recipes" / "quickstart.toml").read_text(encoding="utf-8")
        shutil.copy(ROOT / "build" / "quickstart" / "store.sqlite", folder)
        text = text.replace("../build/quickstart/", "").replace("../sample", str(ROOT / "sample"))
        recipe.write_text(text, encoding="utf-8")
        with reviewing(recipe) as served, chromium() as browser:
            context = browser.new_context(viewport={"width": 1360, "height": 860})
            page = open_review(context, served.address, "Anna")
            for keys in (("r", "p"), ("c",), ("l",), ("v", "t"), ("r",)):
                _mark(page, *keys)
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#found")).to_be_visible()
            page.screenshot(path=out)
    with Image.open(out) as whole:  # 256 colours are enough for text, and half the bytes
        whole.quantize(256).save(out, optimize=True)


def _mark(page: Page, *keys: str) -> None:
    place = page.locator("#place").inner_text()
    for key in (*keys, "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#place")).not_to_have_text(place)


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
