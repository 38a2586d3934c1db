"""Verdicts: the one parser of what teachers and guards answer.

Only text after the last `</think>` counts. Two different verdicts, an open `<think>` and no verdict at all are
faults, never a guess: evaluators that take the first match score a trace that quotes the answer format.
Every function is linear in the length of the text.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import regex

from safety_reasoning.builders.samples import (
    ContentSafetySample,
    Harm,
    Refusal,
    Sample,
    Topic,
    TopicControlSample,
)

THINK, END_THINK = "<think>", "</think>"

_LINE = regex.compile(
    r"(?mi)^[^\w\n]{0,20}+(?P<field>prompt[ ]harm|response[ ]harm|response[ ]refusal)"
    r"[^\w\n:]{0,20}+:(?P<rest>[^\n]*+)$"
)
_STARTS = regex.compile(r"(?i)[^\w]{0,20}+(?P<value>unharmful|harmful|refusal|compliance|none|null)\b")
_WORDS = regex.compile(r"(?i)\b(?:unharmful|harmful|refusal|compliance|none|null)\b")
_TOPIC = regex.compile(r"(?mi)^[^\w\n]{0,20}+(?P<topic>on|off)-topic[^\w\n]{0,20}+$")
_NOTHING = {"none", "null"}


class Fault(StrEnum):
    """Why an answer gives no verdict. Public codes: added to, never given a new meaning."""

    NO_VERDICT = "no_verdict"
    TWO_VERDICTS = "two_verdicts"
    OPEN_THINK = "open_think"


@dataclass(frozen=True, slots=True)
class HarmVerdict:
    """A content-safety answer."""

    prompt: Harm
    response: Harm | None
    """None: the answer says None, or says nothing of the response."""
    refusal: Refusal | None = None


def parse_harm(text: str) -> HarmVerdict | Fault:
    """The verdict of `Prompt harm:`, `Response harm:` and `Response refusal:` lines (paper, H.1 to H.3)."""
    answer = _answer(text)
    if isinstance(answer, Fault):
        return answer
    said: dict[str, str | None] = {}
    for line in _LINE.finditer(answer):
        name = line["field"].casefold()
        value = _value(line["rest"])
        if isinstance(value, Fault):
            return value
        if said.setdefault(name, value) != value:
            return Fault.TWO_VERDICTS
    prompt = said.get("prompt harm")
    if prompt not in ("harmful", "unharmful"):
        return Fault.NO_VERDICT
    response, refusal = said.get("response harm"), said.get("response refusal")
    if response not in ("harmful", "unharmful", None) or refusal not in ("refusal", "compliance", None):
        return Fault.NO_VERDICT
    return HarmVerdict(cast(Harm, prompt), cast(Harm | None, response), cast(Refusal | None, refusal))


def _value(rest: str) -> str | Fault | None:
    found = _STARTS.match(rest)
    if found is None:
        return Fault.NO_VERDICT
    words = {word.casefold() for word in _WORDS.findall(rest)}
    if len(words) > 1:
        return Fault.TWO_VERDICTS
    value = found["value"].casefold()
    return None if value in _NOTHING else value


def parse_topic(text: str) -> Topic | Fault:
    """The verdict of a line that is `on-topic` or `off-topic` and nothing else."""
    answer = _answer(text)
    if isinstance(answer, Fault):
        return answer
    said = {found["topic"].casefold() + "-topic" for found in _TOPIC.finditer(answer)}
    if len(said) != 1:
        return Fault.TWO_VERDICTS if said else Fault.NO_VERDICT
    return cast(Topic, said.pop())


def _answer(text: str) -> str | Fault:
    answer = text.rpartition(END_THINK)[2]
    return Fault.OPEN_THINK if THINK in answer else answer


def mismatch(sample: Sample, answer: str) -> bool:
    """True when the answer's verdict differs from a gold label of the sample or does not parse.

    A label that is null says nothing: the verdict on an unlabelled response is not held against the teacher,
    and neither is WildGuardMix's refusal label, since the record's task is harm.
    """
    if isinstance(sample, TopicControlSample):
        return parse_topic(answer) != sample.topic
    verdict = parse_harm(answer)
    if isinstance(verdict, Fault):
        return True
    return not _agrees(verdict, sample)


def _agrees(verdict: HarmVerdict, sample: ContentSafetySample) -> bool:
    if verdict.prompt != sample.prompt_harm:
        return False
    return sample.response_harm is None or verdict.response == sample.response_harm


def split_think(text: str) -> tuple[str | None, str]:
    """(reasoning, answer) of a reply that carries its reasoning in tags.

    The last `</think>` ends the reasoning, as for verdicts; the opening tag may be missing, since some chat
    templates add it to the prompt. An open `<think>` is all reasoning and no answer. No tag: (None, text).
    """
    before, tag, after = text.rpartition(END_THINK)
    if tag:
        return before.strip().removeprefix(THINK).strip(), after.strip()
    start, tag, after = text.partition(THINK)
    if tag and not start.strip():
        return after.strip(), ""
    return None, text.strip()


def strip_think(trace: str) -> str:
    """A trace without the tags around it; tags inside it stay, and a filter refuses them."""
    return trace.strip().removeprefix(THINK).removesuffix(END_THINK).strip()
