"""Text for a terminal, a message or a comment: what others wrote may hold anything."""


def printable(text: str) -> str:
    r"""The text on one line, each character that only acts or is not seen (controls, surrogates) by its \u number."""
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
