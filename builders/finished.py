"""Finished: a note in the store where a chain of calls ended, so that a rerun or a release need not follow it again.

To follow a chain is to read its replies and to judge them, which takes half a millisecond; a release has 120,000
chains. The note stands under a hash of everything that decides where the chain ends, the code that judges included:
whatever changes, the chain is followed anew. Losing the notes costs time and nothing else.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from safety_reasoning import filters
from safety_reasoning.builders.calls import Call, Step
from safety_reasoning.builders.prompts import load_prompt, rubric_modes
from safety_reasoning.builders.recipe import Recipe, TeacherRecipe
from safety_reasoning.builders.samples import digest

_DECIDING = (
    *("calls.py", "judge.py", "opinion.py", "plan.py", "questions.py", "regenerate.py", "sift.py", "verdicts.py"),
)
_PROMPTS = (
    *("efficient", "again", "judge", "classify_safety", "classify_topic", "taxonomy_aegis", "taxonomy_wildguard"),
)


@dataclass(frozen=True, slots=True)
class End:
    """The last attempt at a trace."""

    key: str
    """Of its reply."""
    reasons: tuple[str, ...]
    """Why it is not released; () if it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Where a chain ended."""

    calls: Counter[Step]
    """How many it had."""
    full: End
    verdict: str
    """The key of the reply whose verdict counts."""
    efficient: End | None
    """None where there was no full trace to shorten."""

    def as_json(self) -> list[Any]:
        """JSON values."""
        ends = [None if end is None else [end.key, *end.reasons] for end in (self.full, self.efficient)]
        return [self.calls, self.verdict, *ends]

    @classmethod
    def of_json(cls, values: Any) -> Self:
        """What `as_json` gave."""
        calls: Mapping[str, int]
        calls, verdict, full, efficient = values
        return cls(
            calls=Counter({Step(step): count for step, count in calls.items()}),
            verdict=verdict,
            full=_end(full),
            efficient=None if efficient is None else _end(efficient),
        )


def _end(values: list[str]) -> End:
    key, *reasons = values
    return End(key, tuple(reasons))


def policy(teacher: TeacherRecipe, recipe: Recipe) -> str:
    """What decides, beside a chain's first call, where it ends; the same for all samples."""
    judge = recipe.judge
    prompts = [*_PROMPTS, *(f"rubric/{mode}" for mode in rubric_modes())]
    return digest(
        [
            _code(),
            [load_prompt(name).sha256 for name in prompts],
            recipe.release.verdict,
            recipe.release.sentences,
            recipe.filters.model_dump(mode="json"),
            recipe.regenerate.attempts,
            teacher.samples,
            None if judge is None else [judge.model, judge.rubric, judge.ask, judge.again, judge.structured],
            None if judge is None else judge.sampling.model_dump(mode="json"),
            [sampling.model_dump(mode="json") for sampling in (teacher.full, teacher.predict, teacher.efficient)],
        ]
    )


def note_key(policy: str, first: Call) -> str:
    """The key of the note for the chain that begins with this call."""
    return digest([policy, first.key])


@cache
def _code() -> str:
    """A hash of the code and the patterns that decide."""
    here = Path(__file__).parent
    folder = Path(filters.__file__).parent
    files = [here / name for name in _DECIDING] + sorted([*folder.rglob("*.py"), *folder.rglob("*.toml")])
    return digest([[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in files])
