"""Prompts as files: front matter with a version and a source, then the body as it is sent.

Variables are written `{name}`, as the paper's Appendix H prints them, so that the files can be compared with
it to the letter. Text that fills a variable is never looked at again: braces, `{{ jinja }}` and `$` in a
sample stay what they are.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from safety_reasoning.errors import UsageError

_FOLDER = Path(__file__).parent
_FRONT = "---\n"


_VARIABLE = re.compile(r"\{([a-z_]+)\}")
"""`{name}` is a variable; every other brace is text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt file."""

    name: str
    version: int
    source: str
    body: str
    variables: tuple[str, ...]
    sha256: str
    """Of the body as sent: a changed prompt makes its calls, and only those, again."""
    pieces: tuple[str, ...]
    """The body cut at its variables: text, name, text, …, text."""

    @property
    def fixed(self) -> str:
        """Everything but the variables."""
        return "\n".join(self.pieces[::2])

    @property
    def head(self) -> str:
        """The fixed text before the first variable: equal for every sample, so a server can reuse it."""
        return self.pieces[0]


@cache
def load_prompt(name: str, folder: Path = _FOLDER) -> Prompt:
    """The prompt file of that name that ships with the package.

    Raises: UsageError if there is none, or if its body and its front matter name different variables.
    """
    path = folder / f"{name}.md"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.md")))
        raise UsageError(f"no prompt is named {name!r}", fix=f"use one of: {known}")
    return _parse(name, path.read_text(encoding="utf-8"))


@cache
def rubric_modes() -> tuple[str, ...]:
    """The failure modes that the judge's rubric describes, sorted; `rubric/MODE` is the prompt of one."""
    return tuple(sorted(path.stem for path in (_FOLDER / "rubric").glob("*.md")))


def _parse(name: str, text: str) -> Prompt:
    _, front, body = text.split(_FRONT, 2)
    head = yaml.safe_load(front)
    body = body.removesuffix("\n")
    declared = tuple(head["variables"])
    pieces = tuple(_VARIABLE.split(body))
    used = dict.fromkeys(pieces[1::2])  # each once, in order
    if sorted(declared) != sorted(used):
        raise UsageError(
            f"prompt {name} declares the variables {sorted(declared)} and uses {sorted(used)}",
            fix="make the front matter's `variables` and the body agree",
        )
    return Prompt(
        name=name,
        version=head["version"],
        source=head["source"],
        body=body,
        variables=tuple(used),
        sha256=hashlib.sha256(body.encode()).hexdigest(),
        pieces=pieces,
    )


def render(prompt: Prompt, variables: Mapping[str, str]) -> str:
    """The text to send: every variable of `prompt` filled in one pass, nothing formatted twice.

    Raises: UsageError naming the variables that are missing or unknown.
    """
    if set(prompt.variables) != set(variables):
        missing = sorted(set(prompt.variables) - set(variables))
        unknown = sorted(set(variables) - set(prompt.variables))
        raise UsageError(f"prompt {prompt.name}: missing variables {missing}, unknown variables {unknown}")
    return "".join(variables[piece] if n % 2 else piece for n, piece in enumerate(prompt.pieces))
