"""NemoGuard topic control: the dialogue as a chat under its system instruction, answered `on-topic` or `off-topic`.

The system message ends in the words that NeMo Guardrails puts there (0.24.1, library/topic_safety/actions.py). Read
more strictly than there, where everything that is not exactly `off-topic` counts as on-topic.
"""

from dataclasses import dataclass, field

from safety_reasoning.builders.samples import Turn
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words, one_word
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.h3 import TOPIC
from safety_reasoning.eval.guards.parsed import Parsed
from safety_reasoning.eval.guards.questions import chat, filled, fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class NemoGuardTopic(Parsed):
    """The policy of an item is the system instruction."""

    name: str = field(default="nemoguard_topic", init=False)
    subjects: frozenset[Subject] = field(default=frozenset({Subject.TURN}), init=False)
    takes_policy: bool = field(default=True, init=False)

    @property
    def prompt_sha256(self) -> str:
        """Hash of the words after the system instruction."""
        return fingerprint("nemoguard_topic")

    def ask(self, item: Item) -> Ask:
        """The system instruction, the turns before, and the turn that is judged."""
        system = filled("nemoguard_topic", system_instruction=(item.policy or "").strip())
        return Ask(messages=(Turn("system", system), *chat(item)))

    def find(self, item: Item, answer: str) -> Said | Fault:
        """The one word."""
        return one_word(answer, TOPIC)

    def words(self, item: Item) -> Words:
        """On-topic and off-topic."""
        return TOPIC
