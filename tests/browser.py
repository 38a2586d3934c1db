"""The machine's own Chromium, driven by Playwright.

As a script it makes the picture of the review page again, from the store of the quickstart:

    make quickstart
    python -m tests.browser docs/review.png
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

expect.set_options(timeout=20_000)  # ms; a busy machine is slow, not wrong

if TYPE_CHECKING:
    from safety_reasoning.review.sample import Drawn

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


def picture(out: Path) -> None:
    """The page as a reviewer sees it who has marked a trace and gone back to see what was found in it."""
    from PIL import Image

    from safety_reasoning.builders.recipe import load_recipe
    from tests.conftest import ROOT
    from tests.reviews import drawn, mark_of, reviewing, save_marks

    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.toml"
        text = (ROOT / "recipes" / "quickstart.toml").read_text(encoding="utf-8")
        shutil.copy(ROOT / "build" / "quickstart" / "store.sqlite", folder)
        text = text.replace("../build/quickstart/", "").replace("../sample", str(ROOT / "sample"))
        recipe.write_text(text, encoding="utf-8")
        loaded = load_recipe(recipe)
        sample = drawn(loaded)
        shown = next(n for n, one in enumerate(sample) if one.stratum.reason == "repetition" and len(_words(one)) > 20)
        save_marks(loaded, [mark_of(one, "Anna") for one in sample[:shown]])
        with reviewing(recipe) as served, chromium() as browser:
            page = browser.new_context(viewport={"width": 1360, "height": 860}).new_page()
            page.goto(f"{served.address}&reviewer=Anna")
            expect(page.locator("#place")).to_have_text(f"Trace {shown + 1} of {len(sample)}")
            for key in ("r", "Enter"):
                page.keyboard.press(key)
            expect(page.locator("#place")).to_have_text(f"Trace {shown + 2} of {len(sample)}")
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#found")).to_be_visible()
            page.screenshot(path=out)
    with Image.open(out) as whole:  # 256 colours are enough for text, and half the bytes
        whole.quantize(256).save(out, optimize=True)


def _words(one: "Drawn") -> list[str]:
    return (one.tried.sifted.trace or "").split()


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
