"""The prompts of the paper's Appendix H.3, their answers, and the guards that are asked with them.

The prompt is the one that `train mix` writes into the rows that a guard is trained on, from the same function; an
item's own policy stands in place of the taxonomy (paper, section 4.2), a dialogue is asked as topic control.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import regex

from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.samples import ContentSafetySample, Sample, TopicControlSample, Turn
from safety_reasoning.builders.verdicts import Fault, HarmVerdict, parse_harm, parse_topic
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.answers import Said, Words
from safety_reasoning.eval.guards.guard import Ask
from safety_reasoning.eval.guards.parsed import SAFETY, Parsed
from safety_reasoning.eval.guards.questions import fingerprint, shown_response
from safety_reasoning.train.conversations import OWN_VARIABLE, Mark, guard_prompt

Mode = Literal["on", "off"]
"""Whether the guard is asked to reason."""
Taxonomy = Literal["aegis", "wildguard"]

HARM: Words = {"harmful": True, "unharmful": False, "none": None, "null": None}
TOPIC: Words = {"off-topic": True, "on-topic": False}
_FIELD = {Subject.PROMPT: "prompt", Subject.RESPONSE: "response"}
_HARM_AT = {
    subject: regex.compile(rf"(?mi)^[^\w\n]{{0,20}}+{name}[ ]harm[^\w\n:]{{0,20}}+:[^\w\n]{{0,20}}+(?P<at>\w)")
    for subject, name in _FIELD.items()
}
_TOPIC_AT = regex.compile(r"(?mi)^[^\w\n]{0,20}+(?P<at>on|off)-topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class H3Guard(Parsed):
    """A model that is asked with H.3, to reason or not."""

    name: str
    mode: Mode
    taxonomy: Taxonomy
    one_prompt: bool = False
    """Both modes have the prompt that asks for reasoning, and are told apart by other means."""
    mark: Mark | None = None
    """What the prompt holds to tell the mode; None for models of one mode, or whose template is told."""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    own_prompt: str | None = None
    """What a guard was trained with in place of H.3: `{prompt}` stands for the user's, and there is no policy."""

    @property
    def subjects(self) -> frozenset[Subject]:
        """Prompts, responses, and turns of dialogues; with a prompt of its own, prompts alone."""
        return SAFETY | {Subject.TURN} if self.own_prompt is None else frozenset({Subject.PROMPT})

    @property
    def takes_policy(self) -> bool:
        """An item's policy stands in place of the taxonomy."""
        return self.own_prompt is None

    @property
    def prompt_sha256(self) -> str:
        """Hash of both prompts and the taxonomy; the two modes of a guard with one prompt have one hash."""
        if self.own_prompt is not None:
            return fingerprint(own_prompt=self.own_prompt)
        suffix = "" if self._asks_to_reason else "_no_reasoning"
        names = (f"classify_safety{suffix}", f"classify_topic{suffix}", f"taxonomy_{self.taxonomy}")
        hashes = [load_prompt(name).sha256 for name in names]
        return fingerprint(prompts=hashes)

    def ask(self, item: Item) -> Ask:
        """One user message."""
        if self.own_prompt is None:
            text = guard_prompt(_sample(item, self.taxonomy), reasoning=self._asks_to_reason, policy=item.policy)
        else:
            text = self.own_prompt.replace(OWN_VARIABLE, item.prompt)
        if self.mark is not None:
            text = self.mark.put(text, "reasoning" if self.mode == "on" else "non_reasoning")
        return Ask(messages=(Turn("user", text),), template_kwargs=self.template_kwargs)

    def find(self, item: Item, answer: str) -> Said | Fault:
        """The verdict of the lines of H.3, or of the line that is on-topic or off-topic."""
        return find_h3(item.subject, answer)

    def words(self, item: Item) -> Words:
        """Harmful and unharmful, or the two of topic control."""
        return TOPIC if item.subject is Subject.TURN else HARM

    @property
    def _asks_to_reason(self) -> bool:
        return self.one_prompt or self.mode == "on"


def find_h3(subject: Subject, answer: str) -> Said | Fault:
    """The verdict on the subject, by the parser that teachers are read with."""
    if subject is Subject.TURN:
        topic = parse_topic(answer)
        if isinstance(topic, Fault):
            return topic
        return Said(positive=topic == "off-topic", at=_place(_TOPIC_AT, answer))
    verdict = parse_harm(answer)
    if isinstance(verdict, Fault):
        return verdict
    return _of_subject(verdict, subject, _place(_HARM_AT[subject], answer))


def _of_subject(verdict: HarmVerdict, subject: Subject, at: int | None) -> Said | Fault:
    harm = verdict.prompt if subject is Subject.PROMPT else verdict.response
    if harm is None:
        return Fault.NO_VERDICT
    refusal = None if verdict.refusal is None else verdict.refusal == "refusal"
    return Said(positive=harm == "harmful", at=at, refusal=refusal)


def _place(pattern: regex.Pattern[str], answer: str) -> int | None:
    found = pattern.search(answer)
    return found.start("at") if found else None


def _sample(item: Item, taxonomy: Taxonomy) -> Sample:
    """The item as the prompts take it. They are told no label, so the ones here say nothing."""
    if item.subject is Subject.TURN:
        return TopicControlSample(
            key="",
            system_instruction=item.policy or "",
            history=item.history,
            message=item.prompt,
            topic="on-topic",
            domain="",
        )
    return ContentSafetySample(
        key="",
        prompt=item.prompt,
        response=shown_response(item),
        prompt_harm="unharmful",
        response_harm=None,
        refusal=None,
        taxonomy=taxonomy,
        published={},
    )
