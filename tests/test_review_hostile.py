"""Hostile text on the review page, in a real Chromium: it stays text."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.filters.quality import FILTERS
from tests.browser import needs_chromium
from tests.review_tabs import at, open_review, press, write
from tests.reviews import GOOD, SAFE, SHORT, Served, drawn, fill, review_recipe, reviewing

pytest_plugins = ["tests.browser_fixture"]
pytestmark = [pytest.mark.browser, needs_chromium]


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
