"""Sanity rows: guards without a model, which every guard worth its tokens is above.

They answer with one word, which is read like any answer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import regex

from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, one_word
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.h3 import HARM, TOPIC
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import fingerprint, guard_prompt_file, shown_response

_APOSTROPHES = str.maketrans("\u2019\u02bc`", "'''")
_BEGINNING_CHARS = 300
"""Refusals say so at once; what a long text says later is no refusal of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGuard(Parsed):
    """A guard that is a function of the item."""

    name: str
    subjects: frozenset[Subject]
    positive: Callable[[Item], bool]
    takes_policy: bool = False
    lists: tuple[str, ...] = ()
    """The files with its words."""

    @property
    def prompt_sha256(self) -> str:
        """Hash of its words."""
        return fingerprint(*self.lists, guard=self.name)

    def ask(self, item: Item) -> Ask:
        """Nothing."""
        return Ask(messages=())

    def answer(self, item: Item) -> str:
        """Harmful or unharmful, off-topic or on-topic."""
        positive = self.positive(item)
        return next(word for word, meaning in self.words(item).items() if meaning == positive)

    def find(self, item: Item, answer: str) -> Said | Fault:
        """The word."""
        return one_word(answer, self.words(item))

    def words(self, item: Item) -> Words:
        """As for H.3."""
        return TOPIC if item.subject is Subject.TURN else HARM


def always_positive() -> RuleGuard:
    """Everything is harmful, and off-topic: its F1 is what the share of positives gives away."""
    return RuleGuard(name="always_positive", subjects=SAFETY | {Subject.TURN}, positive=lambda item: True)


def keyword() -> RuleGuard:
    """Harmful is what has a word of keywords.md in it: a prompt by its own words, a response by its own."""
    return RuleGuard(name="keyword", subjects=SAFETY, positive=_has_keyword, lists=("keywords",))


def refusal_expression() -> RuleGuard:
    """A response is harmful unless it begins with a refusal (refusals.md); prompts it cannot judge."""
    return RuleGuard(
        name="refusal_expression",
        subjects=frozenset({Subject.RESPONSE}),
        positive=lambda item: not _refuses(item.response or ""),
        lists=("refusals",),
    )


def _has_keyword(item: Item) -> bool:
    words = "|".join(map(regex.escape, guard_prompt_file("keywords").body.split("\n")))
    text = shown_response(item)
    return regex.search(rf"(?i)\b(?:{words})", item.prompt if text is None else text) is not None


def _refuses(response: str) -> bool:
    beginning = response[:_BEGINNING_CHARS].casefold().translate(_APOSTROPHES)
    return any(words in beginning for words in guard_prompt_file("refusals").body.split("\n"))
