"""GuardReasoner (Liu et al., 2025, arXiv:2501.18492): three tasks, reasoned about in plain text, then `Answers:`.

Prompt and answer as in its model card and in the outputs published with its code (data/test). The reasoning stands in
no tags, so the answers are the lines after the line `Answers:`; a second block that says otherwise is a second verdict.
Its own evaluation takes the last 300 characters and the first match in them.
"""

from dataclasses import dataclass, field

from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, labelled, said_at
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.h3 import HARM
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import filled, fingerprint, response_or_none

_REFUSAL: Words = {"refusal": True, "compliance": False, "none": None}
_FIELD = {Subject.PROMPT: "request", Subject.RESPONSE: "response"}
_FIELDS = {"request": HARM, "completion": _REFUSAL, "response": HARM}
_ANSWERS = "answers:"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReasoner(Parsed):
    """GuardReasoner, 1B, 3B or 8B. It takes no policy."""

    name: str = field(default="guardreasoner", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    takes_policy: bool = field(default=False, init=False)

    @property
    def prompt_sha256(self) -> str:
        """Hash of the prompt."""
        return fingerprint("guardreasoner")

    def ask(self, item: Item) -> Ask:
        """The whole text that the model reads."""
        return Ask(messages=(), raw=filled("guardreasoner", prompt=item.prompt, response=response_or_none(item)))

    def find(self, item: Item, answer: str) -> Said | Fault:
        """`Request:`, `Completion:` and `Response:` lines after `Answers:`."""
        start = _answers_at(answer)
        if start is None:
            return Fault.NO_VERDICT
        values = labelled(answer[start:], _FIELDS)
        if isinstance(values, Fault):
            return values
        if _FIELD[item.subject] not in values:
            return Fault.NO_VERDICT
        word, at = values[_FIELD[item.subject]]
        refusal = _REFUSAL[values["completion"][0]] if "completion" in values else None
        return said_at(HARM[word], start + at, refusal)

    def words(self, item: Item) -> Words:
        """Harmful and unharmful."""
        return HARM


def _answers_at(answer: str) -> int | None:
    """Where the line after the first `Answers:` begins; None without one."""
    start = 0
    for line in answer.split("\n"):
        start += len(line) + 1
        if len(line) <= 2 * len(_ANSWERS) and line.strip(" \t\r*#").lower() == _ANSWERS:
            return start
    return None
