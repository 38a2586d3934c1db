"""NemoGuard content safety (Llama Nemotron Safety Guard), the guard trained on Aegis 2.0: an answer in JSON.

Prompt and answer as NeMo Guardrails configures it (examples of content safety; llm/output_parsers.py,
nemoguard_parse_prompt_safety): `{"User Safety": "unsafe", "Response Safety": "safe", "Safety Categories": "…"}`. Read
more strictly than there: a value that is neither safe nor unsafe is no verdict, and an object is the whole answer.
"""

from dataclasses import dataclass, field

import regex

from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.json_answers import json_object
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import filled, fingerprint, guard_prompt_file, shown_response

_WORDS: Words = {"unsafe": True, "safe": False}
_KEY = {Subject.PROMPT: "User Safety", Subject.RESPONSE: "Response Safety"}
_AT = {subject: regex.compile(rf'"{key}"\s{{0,9}}+:\s{{0,9}}+"(?P<at>\w)') for subject, key in _KEY.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Aegis2(Parsed):
    """A policy stands in place of the 23 categories."""

    name: str = field(default="aegis2", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    takes_policy: bool = field(default=True, init=False)

    @property
    def prompt_sha256(self) -> str:
        """Hash of both prompts and the categories."""
        return fingerprint("aegis2_prompt", "aegis2_response", "aegis2_categories")

    def ask(self, item: Item) -> Ask:
        """One user message."""
        categories = guard_prompt_file("aegis2_categories").body if item.policy is None else item.policy
        response = shown_response(item)
        if response is None:
            text = filled("aegis2_prompt", categories=categories, prompt=item.prompt)
        else:
            text = filled("aegis2_response", categories=categories, prompt=item.prompt, response=response)
        return Ask(messages=(Turn("user", text),))

    def find(self, item: Item, answer: str) -> Said | Fault:
        """The object's safety of the user's message or of the agent's response."""
        values = json_object(answer)
        if isinstance(values, Fault):
            return values
        said = values.get(_KEY[item.subject])
        word = said.strip().lower() if isinstance(said, str) else ""
        if word not in _WORDS:
            return Fault.NO_VERDICT
        at = _AT[item.subject].search(answer)
        return Said(positive=word == "unsafe", at=at.start("at") if at else None)

    def words(self, item: Item) -> Words:
        """Safe and unsafe."""
        return _WORDS
