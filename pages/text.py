"""Untrusted text as a page may hold it: escaped, what cannot be seen made visible, cut in the middle. Pure."""

from dataclasses import dataclass

import regex
from markupsafe import Markup, escape

_UNSEEN = regex.compile(r"[^\P{C}\n\t\u200c\u200d]|[\p{Zl}\p{Zp}\U000e0100-\U000e01ef]")
"""Control and format characters (those that turn the direction of text and those that hide text among them), lone
surrogates, and what Unicode has no character for. The two joiners stay: words and emoji are made with them."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A text, without its middle where it is long."""

    head: str
    left_out: int = 0
    """Characters between head and tail."""
    tail: str = ""


def cut(text: str, limit: int) -> Cut:
    """The text, or its beginning and its end, of at most `limit` characters together."""
    if len(text) <= limit:
        return Cut(text)
    half = limit // 2
    return Cut(text[: limit - half], len(text) - limit, text[-half:])


def visible(text: object) -> Markup:
    """The text as HTML that shows the same characters: U+XXXX in a box for each that is not seen."""
    parts = []
    end = 0
    written = str(text)
    for found in _UNSEEN.finditer(written):
        parts += [escape(written[end : found.start()]), _box(found[0])]
        end = found.end()
    return Markup().join([*parts, escape(written[end:])])


def _box(character: str) -> Markup:
    return Markup('<span class="unseen">U+{:04X}</span>').format(ord(character))


def plain(text: str) -> str:
    """The same for where there is no markup, as in a figure."""
    return str(_UNSEEN.sub(lambda found: f"U+{ord(found[0]):04X}", text))
