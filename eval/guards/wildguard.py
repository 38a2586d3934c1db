"""WildGuard (Han et al., 2024, arXiv:2406.18495): a prompt of its own, three lines with yes, no or N/A.

Prompt and answer as in its authors' package (wildguard 1.0.0, utils.py and wildguard.py). A server adds its own `<s>`
before the one of the prompt, as vLLM does in that package. It takes no policy, which is what the paper's Table 1
shows of it.
"""

from dataclasses import dataclass, field

from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, labelled, said_at
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import filled, fingerprint, shown_response

_YES_NO: Words = {"yes": True, "no": False}
_WORDS: Words = {**_YES_NO, "n/a": None}
_FIELD = {Subject.PROMPT: "harmful request", Subject.RESPONSE: "harmful response"}
_REFUSAL = "response refusal"
_FIELDS = {name: _WORDS for name in (*_FIELD.values(), _REFUSAL)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WildGuard(Parsed):
    """Judges prompt, refusal and response at once."""

    name: str = field(default="wildguard", init=False)
    subjects: frozenset[Subject] = field(default=SAFETY, init=False)
    takes_policy: bool = field(default=False, init=False)

    @property
    def prompt_sha256(self) -> str:
        """Hash of the prompt."""
        return fingerprint("wildguard")

    def ask(self, item: Item) -> Ask:
        """The whole text that the model reads; '' where there is no response, as in the package."""
        return Ask(messages=(), raw=filled("wildguard", prompt=item.prompt, response=shown_response(item) or ""))

    def find(self, item: Item, answer: str) -> Said | Fault:
        """`Harmful request:`, `Response refusal:` and `Harmful response:` lines."""
        values = labelled(answer, _FIELDS)
        if isinstance(values, Fault):
            return values
        if _FIELD[item.subject] not in values:
            return Fault.NO_VERDICT
        word, at = values[_FIELD[item.subject]]
        refusal = _WORDS[values[_REFUSAL][0]] if _REFUSAL in values else None
        return said_at(_WORDS[word], at, refusal)

    def words(self, item: Item) -> Words:
        """Yes and no, and for a response N/A."""
        return _WORDS if item.subject is Subject.RESPONSE else _YES_NO
