"""Hostile text on a terminal: whatever would move, colour or reverse it is shown as its escape."""

import unicodedata

_SHOWN_AS_ESCAPES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Control and format characters (right-to-left marks, zero-width ones), surrogates, and separators of lines."""


def visible(text: str, *, lines: bool = True) -> str:
    """The text with every such character written as its escape; line breaks stay if `lines`."""
    return "".join(char if _is_shown(char, lines) else _escaped(char) for char in text)


def _is_shown(char: str, lines: bool) -> bool:
    if char == "\n":
        return lines
    return (char.isascii() and char.isprintable()) or unicodedata.category(char) not in _SHOWN_AS_ESCAPES


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
