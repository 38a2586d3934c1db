"""What the verbs that read runs have in common: their options, and how they print."""

import json
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from safety_reasoning.errors import UsageError

if TYPE_CHECKING:
    from safety_reasoning.eval.scores.policy import Policy

RunArgument = Annotated[Path, typer.Argument(help="A folder that `eval run` wrote.", metavar="RUN")]
PolicyOption = Annotated[
    str, typer.Option(help="What an answer without a verdict counts for: wrong, drop, harmful or unharmful.")
]
DrawsOption = Annotated[int, typer.Option(min=0, help="Draws of the bootstrap; 0: no intervals.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the draws.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
WRONG, DRAWS = "wrong", 1000
"""Defaults; those of eval/scores, which is not imported for a help text."""
Named = TypeVar("Named", bound=StrEnum)


def policy_of(name: str) -> "Policy":
    """The policy of that name. Raises: UsageError if there is none."""
    from safety_reasoning.eval.scores.policy import Policy

    return member(Policy, name, "--policy")


def member(enum: type[Named], name: str, option: str) -> Named:
    """The member of an enum. Raises: UsageError naming the option and what may be given."""
    if name not in [one.value for one in enum]:
        raise UsageError(f"{option} {name} is not known", fix=f"one of {', '.join(enum)}")
    return enum(name)


def pairs(given: Iterable[str] | None, option: str, form: str) -> dict[str, str]:
    """Values of an option as pairs; what stands before the equals sign may hold none.

    Raises: UsageError for one of another form, and for a name that is given twice.
    """
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{option} {text} is not {form}")
        if name in found:
            raise UsageError(f"{option} is given twice for {name}", fix="give it once")
        found[name] = value
    return found


def refuse_twice(runs: Collection[Path]) -> None:
    """Raise UsageError if two of them are one folder."""
    if len({run.resolve() for run in runs}) < len(runs):
        raise UsageError("a run is named twice", fix="name each run once")


def nothing_in_common(a: Path, b: Path) -> UsageError:
    """The error for two runs without a common row."""
    return UsageError(
        f"{a} and {b} have no row in common",
        why="an item is known by its task and its texts, and a row by its generation besides",
        fix="give two runs of the same tasks",
    )


def print_lines(lines: Iterable[str]) -> None:
    """One by one."""
    for line in lines:
        typer.echo(line)


def print_json(document: Mapping[str, Any]) -> None:
    """One document."""
    typer.echo(json.dumps(document, ensure_ascii=True, allow_nan=False))
