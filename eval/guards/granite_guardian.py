"""Granite Guardian: yes or no to a criterion, in the form of each generation.

As in its repository (evaluation/models and cookbooks):
3.0 to 3.2  `guardian_config` with a `risk_name` goes to the chat template; `Yes` or `No`, from 3.2 on with a second
            line `<confidence> High </confidence>`
3.3         `guardian_config` with a `criteria_id`, and `think`; `<score> yes </score>`, after `<think>` if it thinks
4.1         a last user message `<guardian>…` holds the criterion; answers as 3.3
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import regex

from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, one_word
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import chat, filled, fingerprint, guard_prompt_file

_WORDS: Words = {"yes": True, "no": False}
_SCORES = regex.compile(r"\s*+(?:<score>\s*+(?P<word>yes|no)\s*+</score>\s*+)++", regex.IGNORECASE | regex.ASCII)
_CONFIDENT = regex.compile(
    r"\s*+(?P<word>yes|no)\s*+(?:<confidence>[ ]?+(?:high|low)[ ]?+</confidence>\s*+)?+", regex.IGNORECASE | regex.ASCII
)
_WHOSE = {Subject.PROMPT: "user", Subject.RESPONSE: "assistant"}
_RISK = "harm"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraniteGuardian(Parsed):
    """The umbrella risk `harm`; a policy stands in its place."""

    name: str = field(default="granite_guardian", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    takes_policy: bool = field(default=True, init=False)
    version: Literal["3.0", "3.1", "3.2", "3.3", "4.1"] = "3.3"
    think: bool = False
    """Versions 3.3 and 4.1."""

    @property
    def prompt_sha256(self) -> str:
        """Hash of the version's own words: up to 3.3 the prompt is the model's."""
        if self.version == "4.1":
            return fingerprint("granite_guardian", "granite_guardian_harm", self._instruction)
        return fingerprint(guard=self.name, version=self.version, risk=_RISK)

    def ask(self, item: Item) -> Ask:
        """The conversation, and the criterion where the version takes it."""
        if self.version == "4.1":
            return Ask(messages=(*chat(item), Turn("user", self._block(item))))
        if self.version == "3.3":
            config = {"criteria_id": _RISK} if item.policy is None else {"custom_criteria": item.policy}
            return Ask(messages=chat(item), template_kwargs={"guardian_config": config, "think": self.think})
        risk: dict[str, Any] = {"risk_name": _RISK}
        if item.policy is not None:
            risk = {"risk_name": "custom_policy", "risk_definition": item.policy}
        return Ask(messages=chat(item), template_kwargs={"guardian_config": risk})

    def find(self, item: Item, answer: str) -> Said | Fault:
        """The score, or in the older form the first line."""
        if self.version in ("3.3", "4.1"):
            found = _SCORES.fullmatch(answer)
            if found is None:
                return Fault.NO_VERDICT
            if len({word.lower() for word in found.captures("word")}) > 1:
                return Fault.TWO_VERDICTS
            return Said(positive=found["word"].lower() == "yes", at=found.starts("word")[0])
        found = _CONFIDENT.fullmatch(answer)
        if found is None:
            said = one_word(answer, _WORDS)
            return said if said is Fault.TWO_VERDICTS else Fault.NO_VERDICT
        return Said(positive=found["word"].lower() == "yes", at=found.start("word"))

    def words(self, item: Item) -> Words:
        """Yes: it meets the criterion."""
        return _WORDS

    @property
    def _instruction(self) -> str:
        return "granite_guardian_think" if self.think else "granite_guardian_no_think"

    def _block(self, item: Item) -> str:
        harm = guard_prompt_file("granite_guardian_harm").body
        return filled(
            "granite_guardian",
            instruction=guard_prompt_file(self._instruction).body,
            criteria=harm if item.policy is None else item.policy,
            whose=_WHOSE[item.subject],
        )
