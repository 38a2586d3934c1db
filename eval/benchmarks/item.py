"""Items: one labelled row of a task, whatever file it came from."""

from dataclasses import dataclass
from enum import StrEnum

from safety_reasoning.builders.samples import Turn, digest


class Subject(StrEnum):
    """What of an item is judged, and with that what its verdict is about."""

    PROMPT = "prompt"
    """Whether the user's prompt is harmful; a response, if there is one, is not shown."""
    RESPONSE = "response"
    """Whether the response to the prompt is harmful."""
    TURN = "turn"
    """Whether the last user turn of a dialogue is off-topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One labelled row of a task."""

    task: str
    """The task's name: `aegis2_prompt`."""
    subject: Subject
    prompt: str
    """The user's prompt; of a dialogue, its last user turn."""
    response: str | None = None
    """Given where `subject` is RESPONSE, and only there."""
    policy: str | None = None
    """The custom policy that it is judged by (CoSApien, DynaGuardrail), or of a dialogue the system instruction;
    None: by the guard's own taxonomy."""
    history: tuple[Turn, ...] = ()
    """Of a dialogue, what was said before the turn."""
    positive: bool
    """The gold label: harmful, or off-topic."""
    category: str | None = None
    """The category of harm that the benchmark names."""
    domain: str | None = None
    """The part of the benchmark that it belongs to: a scenario, a policy, a domain of dialogues."""

    @property
    def key(self) -> str:
        """32 hex digits: the hash of what is judged; equal texts of one task have equal keys."""
        said = [[turn.role, turn.content] for turn in self.history]
        return digest([self.task, self.subject, self.prompt, self.response, self.policy, said])

    @property
    def chars(self) -> int:
        """Length of what is judged, in characters; the policy is not counted."""
        return len(self.prompt) + len(self.response or "") + sum(len(turn.content) for turn in self.history)
