"""Samples: one labelled input each, as the sources give them and as the prompts read them.

`key` is a content hash of what identifies an interaction: ids repeat upstream and prompts recur with other
responses, so content safety hashes (id, prompt, response) and topic control hashes (system instruction,
history, message).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from safety_reasoning.schemas.columns import Task

Harm = Literal["harmful", "unharmful"]
Refusal = Literal["refusal", "compliance"]
Topic = Literal["on-topic", "off-topic"]
Scalar = str | int | bool | None

HARM_OF_SAFETY: Mapping[str, Harm] = {"safe": "unharmful", "unsafe": "harmful"}
SAFETY_OF_HARM = {harm: safety for safety, harm in HARM_OF_SAFETY.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentSafetySample:
    """A user prompt, alone or with a response, labelled for harm."""

    key: str
    prompt: str
    """What the teacher reads: the reconstructed text where the published row says REDACTED."""
    response: str | None
    """None: a prompt-only sample. '' is a response, and can carry a label."""
    prompt_harm: Harm
    response_harm: Harm | None
    refusal: Refusal | None
    """WildGuardMix labels refusals; Aegis does not."""
    taxonomy: Literal["aegis", "wildguard"]
    published: Mapping[str, Scalar]
    """The source columns that a record repeats, untouched (see schemas/content_safety.schema.json)."""

    @property
    def task(self) -> Task:
        """Always content safety."""
        return Task.CONTENT_SAFETY


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a dialogue."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicControlSample:
    """One user turn of a dialogue, on-topic or off-topic under the system instruction."""

    key: str
    system_instruction: str
    history: tuple[Turn, ...]
    """Every turn before the message, main topic and distractors alike."""
    message: str
    topic: Topic
    domain: str
    """'' where the source does not say (the published release)."""

    @property
    def task(self) -> Task:
        """Always topic control."""
        return Task.TOPIC_CONTROL


Sample = ContentSafetySample | TopicControlSample


def content_safety_key(sample_id: str, prompt: str, response: str | None) -> str:
    """The key of an interaction; `prompt` is the published one (REDACTED where it is redacted)."""
    return digest(["content_safety", sample_id, prompt, response])


def topic_control_key(system_instruction: str, history: tuple[Turn, ...], message: str) -> str:
    """The key of a user turn in its dialogue."""
    turns = [[turn.role, turn.content] for turn in history]
    return digest(["topic_control", system_instruction, turns, message])


def digest(parts: object) -> str:
    """32 hex digits: blake2b-128 of the canonical JSON of `parts` (ASCII, so any str can be hashed)."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()
