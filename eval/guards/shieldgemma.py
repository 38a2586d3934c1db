"""ShieldGemma (Zeng et al., 2024, arXiv:2407.21772): Yes or No to one guideline, and the probability of Yes.

The chat template of the model writes the prompt of its card around the conversation and the `guideline` that it is
given. The guidelines are those of the card, one wording for prompts and one for responses. It is meant for one
guideline a question: a score over all four is four runs.
"""

from dataclasses import dataclass, field
from typing import Literal

from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, first_word
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import chat, fingerprint, guard_prompt_file

_WORDS: Words = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShieldGemma(Parsed):
    """ShieldGemma, 2B, 9B or 27B; a policy stands in place of the guideline."""

    name: str = field(default="shieldgemma", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    takes_policy: bool = field(default=True, init=False)
    guideline: Literal["dangerous_content", "harassment", "hate_speech", "sexually_explicit"] = "dangerous_content"

    @property
    def prompt_sha256(self) -> str:
        """Hash of the guideline in both wordings."""
        return fingerprint(*(f"shieldgemma_{self.guideline}_{subject}" for subject in sorted(SAFETY)))

    def ask(self, item: Item) -> Ask:
        """The conversation, and the guideline for the template."""
        own = guard_prompt_file(f"shieldgemma_{self.guideline}_{item.subject}").body
        return Ask(messages=chat(item), template_kwargs={"guideline": own if item.policy is None else item.policy})

    def find(self, item: Item, answer: str) -> Said | Fault:
        """The word that the answer starts with."""
        return first_word(answer, _WORDS)

    def words(self, item: Item) -> Words:
        """Yes: it violates the guideline."""
        return _WORDS
