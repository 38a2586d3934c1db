"""Texts that would harm a page which shows them, and what keeps a page harmless."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request

from tests.browser import chromium

ALERTS = "<script>parent.pwned = 1; alert(1)</script><img src=http://127.0.0.1:9/x onerror=alert(1)></pre></details>"
HOSTILE = {
    "markup": f"{ALERTS}<style>*{{display:none}}</style><a href=javascript:alert(1)>x</a><!--",
    "templates": "{{7*7}} {% for x in ().__class__.__base__.__subclasses__() %}{% endfor %} ${7*7} #{7*7}",
    "directions": "\u202egnp.exe \u2066 \u200f \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u2069",
    "surrogates": "a \ud83d lone \udc00 surrogate",
    "controls": "bell \x07 null \x00 escape \x1b[31m next line \x85 separator \u2028 hidden \U000e0041\ufeff",
    "huge": "<b>" + "x" * 1_000_000 + "</b>",
    "piled": "Z" + "\u0334\u0335\u0336" * 3000,
}
_REACHING = {"script", "img", "iframe", "object", "embed", "link", "base", "form", "input", "button", "b"}
"""Elements that run or fetch something, and one that only a hostile text has."""


class Elements(HTMLParser):
    """Every element and attribute of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def assert_harmless(page: Path, most_bytes: int) -> None:
    """A page without a script, a link or a picture, which forbids them besides."""
    text = page.read_text(encoding="utf-8")
    found = Elements(text)
    assert not found.tags & _REACHING
    assert [value for name, value in found.attributes if name in {"href", "src"} and not value.startswith("#")] == []
    assert [name for name, _ in found.attributes if name.startswith("on")] == []
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert policy.startswith("default-src 'none';")
    assert "script-src" not in policy
    assert len(page.read_bytes()) < most_bytes


@pytest.fixture
def opened(hostile: Path) -> Iterator[tuple[Page, list[str]]]:
    """The page `hostile` in a browser with every fold open, and all that it asked for or said."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        events: list[str] = []

        def asked(request: Request) -> None:
            events.append(request.url)

        page.on("request", asked)
        page.on("dialog", lambda dialog: events.append(dialog.type))
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(error.message))
        page.goto(hostile.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        yield page, events


def contrast(page: Page, element: str) -> float:
    """Of an element's colour against the page's, as WCAG 2 counts it."""
    drawn = "getComputedStyle(document.querySelector(which))[name]"
    ask = f"([which, name]) => {drawn}"
    ink = page.evaluate(ask, [element, "fill" if element.endswith("text") else "color"])
    light, dark = sorted((_luminance(ink), _luminance(page.evaluate(ask, ["body", "backgroundColor"]))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
