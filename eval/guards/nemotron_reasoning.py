"""Nemotron-Content-Safety-Reasoning-4B: Gemma-3-4B-it in two modes, told by `/think` or `/no_think` at the end.

Prompt and answer as NeMo Guardrails documents them (the tutorial on this model; llm/output_parsers.py,
nemotron_reasoning_parse_prompt_safety), the answer read more strictly: their parser takes a missing verdict for
harmful and the first of two.
"""

from dataclasses import dataclass, field
from typing import Literal

from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.h3 import HARM, Taxonomy, find_h3
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import filled, fingerprint, response_or_none

_PROMPT = "nemotron_reasoning"
_SUFFIX = {"on": "/think", "off": "/no_think"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NemotronReasoning(Parsed):
    """The published guard; an item's policy stands in place of the taxonomy."""

    name: str = field(default="nemotron_reasoning_4b", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    takes_policy: bool = field(default=True, init=False)
    mode: Literal["on", "off"] = "on"
    taxonomy: Taxonomy = "aegis"

    @property
    def prompt_sha256(self) -> str:
        """Hash of prompt and taxonomy, for both modes."""
        return fingerprint(_PROMPT, taxonomy=load_prompt(f"taxonomy_{self.taxonomy}").sha256)

    def ask(self, item: Item) -> Ask:
        """One user message that ends in the switch."""
        text = filled(
            _PROMPT,
            taxonomy=load_prompt(f"taxonomy_{self.taxonomy}").body if item.policy is None else item.policy,
            prompt=item.prompt,
            response=response_or_none(item),
            mode=_SUFFIX[self.mode],
        )
        told = {"enable_thinking": self.mode == "on"}  # a server's reasoning parser does not read the switch
        return Ask(messages=(Turn("user", text),), template_kwargs=told)

    def find(self, item: Item, answer: str) -> Said | Fault:
        """`Prompt harm:` and `Response harm:` lines."""
        return find_h3(item.subject, answer)

    def words(self, item: Item) -> Words:
        """Harmful and unharmful."""
        return HARM
