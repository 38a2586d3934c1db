"""Llama Guard 3 and 4: the conversation under the model's own chat template; `safe`, or `unsafe` and its categories.

Answers as the model cards state them (PurpleLlama, Llama-Guard3 and Llama-Guard4): a first line that is safe or
unsafe, and for unsafe a second with categories, `S1,S9`. The last message of the conversation is judged. The
templates of Llama-Guard-3-1B and -11B-Vision take other `categories`; those of 3-8B and 4-12B have theirs fixed.
"""

from dataclasses import dataclass, field
from typing import Any

import regex

from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, one_word
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import chat, fingerprint

_WORDS: Words = {"unsafe": True, "safe": False}
_ANSWER = regex.compile(
    r"\s*+(?P<word>safe|unsafe(?:\s++[A-Z]\d{1,2}(?:[ \t]*+,[ \t]*+[A-Z]\d{1,2})*+)?+)\s*+",
    regex.IGNORECASE | regex.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaGuard3(Parsed):
    """Llama Guard 3, 1B, 8B or 11B-Vision."""

    name: str = field(default="llama_guard_3", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    custom_categories: bool = False
    """The served chat template takes `categories`: an item's policy is then its only category, S1."""

    @property
    def takes_policy(self) -> bool:
        """Only where the template takes categories."""
        return self.custom_categories

    @property
    def prompt_sha256(self) -> str:
        """Hash of the setting; the prompt is the model's."""
        return fingerprint(guard=self.name, custom_categories=self.custom_categories)

    def ask(self, item: Item) -> Ask:
        """User, or user and assistant."""
        kwargs: dict[str, Any] = {}
        if self.custom_categories and item.policy is not None:
            kwargs["categories"] = {"S1": item.policy}
        return Ask(messages=chat(item), template_kwargs=kwargs)

    def find(self, item: Item, answer: str) -> Said | Fault:
        """Safe, or unsafe with or without its categories."""
        found = _ANSWER.fullmatch(answer)
        if found is None:
            said = one_word(answer, _WORDS)
            return said if said is Fault.TWO_VERDICTS else Fault.NO_VERDICT
        return Said(positive=found["word"][0] in "uU", at=found.start("word"))

    def words(self, item: Item) -> Words:
        """Safe and unsafe."""
        return _WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaGuard4(LlamaGuard3):
    """Llama Guard 4, 12B."""

    name: str = field(default="llama_guard_4", init=False)
