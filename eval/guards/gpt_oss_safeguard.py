"""gpt-oss-safeguard: the policy as system message, what is judged as user message, the output as the policy asks.

As in OpenAI's guide to it (cookbook, articles/gpt-oss-safeguard-guide): `0` or `1`, or an object with `violation`. The
reasoning comes in harmony's analysis channel, which servers split off; where one leaves the channels in the text, the
final one counts.
"""

from dataclasses import dataclass, field
from typing import Literal

import regex

from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, one_word
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.h3 import Taxonomy
from safety_reasoning.eval.guards.json_answers import json_object
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import filled, fingerprint, shown_response

_WORDS: Words = {"1": True, "0": False}
_SUBJECT = {Subject.PROMPT: "the user's request", Subject.RESPONSE: "the assistant's response to the user's request"}
_FINAL = "<|channel|>final<|message|>"
_CHANNEL = "<|channel|>"
_AT = regex.compile(r'"violation"\s{0,9}+:\s{0,9}+(?P<at>\d)')


@dataclass(frozen=True, slots=True, kw_only=True)
class GptOssSafeguard(Parsed):
    """gpt-oss-safeguard, 20B or 120B; an item's policy stands in place of the taxonomy."""

    name: str = field(default="gpt_oss_safeguard", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    takes_policy: bool = field(default=True, init=False)
    output: Literal["binary", "json"] = "binary"
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    """Stated in the system message, as the guide has it; None: not stated, which is medium."""
    taxonomy: Taxonomy = "aegis"

    @property
    def prompt_sha256(self) -> str:
        """Hash of both messages and the taxonomy."""
        names = (f"gpt_oss_safeguard_{self.output}", "gpt_oss_safeguard_response")
        return fingerprint(*names, taxonomy=load_prompt(f"taxonomy_{self.taxonomy}").sha256)

    def ask(self, item: Item) -> Ask:
        """The policy, and what is judged by it."""
        policy = load_prompt(f"taxonomy_{self.taxonomy}").body if item.policy is None else item.policy
        system = filled(f"gpt_oss_safeguard_{self.output}", policy=policy, subject=_SUBJECT[item.subject])
        if self.reasoning_effort is not None:
            system = f"Reasoning: {self.reasoning_effort}\n\n{system}"
        response = shown_response(item)
        user = item.prompt
        if response is not None:
            user = filled("gpt_oss_safeguard_response", prompt=item.prompt, response=response)
        return Ask(messages=(Turn("system", system), Turn("user", user)))

    def find(self, item: Item, answer: str) -> Said | Fault:
        """The digit, or the object's `violation`, in the final channel."""
        before, channel, final = answer.rpartition(_FINAL)
        if not channel and _CHANNEL in final:
            return Fault.OPEN_THINK
        start = len(before) + len(channel)
        final = final.removesuffix("<|return|>").removesuffix("<|end|>")
        said = one_word(final, _WORDS) if self.output == "binary" else _violation(final)
        if isinstance(said, Fault) or said.at is None:
            return said
        return Said(positive=said.positive, at=start + said.at)

    def words(self, item: Item) -> Words:
        """1: it violates the policy."""
        return _WORDS


def _violation(answer: str) -> Said | Fault:
    values = json_object(answer)
    if isinstance(values, Fault):
        return values
    violation = values.get("violation")
    if not isinstance(violation, int) or violation not in (0, 1):
        return Fault.NO_VERDICT
    at = _AT.search(answer)
    return Said(positive=bool(violation), at=at.start("at") if at else None)
