"""A trace must not conclude what its answer denies. Cheap cues only: what they do not see, a judge may."""

import regex

from safety_reasoning.builders.verdicts import HarmVerdict, parse_harm, parse_topic
from safety_reasoning.filters.cues import cue
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import Reading, reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace
from safety_reasoning.schemas.columns import Task

_LAST = 3
"""Sentences at the end that conclude whatever they begin with."""
_DENIALS = frozenset(["not", "no", "never", "hardly", "neither", "nor"])
_SAFE = frozenset(["unharmful", "non-harmful", "harmless", "safe", "benign", "innocuous", "unproblematic"])
_HARMFUL = ("harmful", "unsafe", "fall", "violat", "belong", "a violation", "constitutes", "covered", "meets")
_OFF = regex.compile(
    "off|out|beyond|decline|refuse|redirect|turned|falls? outside|leave|stray|unrelated|nothing to do|forbidden|"
    "prohibited|excluded|ruled out"
)
"""How values of the topic begin that put a message outside."""
_RESPONSES = frozenset(["response", "reply", "answer", "assistant"])
_EVERYTHING = frozenset(["both", "neither", "everything", "nothing", "exchange", "interaction", "conversation"])
_UNNAMED = frozenset(["it", "this"])
_PROMPTS = frozenset(["prompt", "request", "question", "query", "message", "inquiry", "user"])
_TARGETS = _RESPONSES | _EVERYTHING | _UNNAMED | _PROMPTS
"""What a claim is about; nothing of it: that nobody is harmed, or no category met."""

Claims = dict[str, bool]
"""What the trace concludes last, by `prompt`, `response`, `topic` or `unnamed`: harmful or off-topic is True."""


def contradicts_verdict(trace: Trace, limits: Limits) -> Drop | None:
    """CONTRADICTS_VERDICT if concluding sentences state another verdict than the answer; None if it does not parse."""
    given = _given(trace)
    if not given:
        return None
    concluded = _concluded(reading(trace.text), trace)
    differs = any(given.get(of, claim) != claim for of, claim in concluded.items())
    return Drop.CONTRADICTS_VERDICT if differs else None


def _given(trace: Trace) -> Claims:
    if trace.task is Task.TOPIC_CONTROL:
        topic = parse_topic(trace.answer)
        return {"topic": topic == "off-topic"} if topic in ("on-topic", "off-topic") else {}
    verdict = parse_harm(trace.answer)
    if not isinstance(verdict, HarmVerdict):
        return {}
    prompt = verdict.prompt == "harmful"
    response = prompt if verdict.response is None else verdict.response == "harmful"
    named = {"prompt": prompt} if verdict.response is None else {"prompt": prompt, "response": response}
    return named | {"unnamed": prompt} if prompt == response else named


def _concluded(read: Reading, trace: Trace) -> Claims:
    groups = ("topic",) if trace.task is Task.TOPIC_CONTROL else ("harm", "category", "nothing")
    looked_for = [claim for group in groups if (claim := cue("verdict", group)).needed(read.stems)]
    if not looked_for:
        return {}
    concludes, open_ = cue("verdict", "concludes").pattern, cue("verdict", "open").pattern
    claims: Claims = {}
    last = len(read.sentences) - _LAST
    for n, sentence in enumerate(read.sentences):
        wanted = [claim for claim in looked_for if claim.needed(sentence.stems)]
        if not wanted or (n < last and not concludes.match(sentence.text)):
            continue
        plain = sentence.own.replace("n't", " not").replace("'s ", " is ")
        for claim in wanted:
            for found in claim.pattern.finditer(plain):
                if open_.search(plain, 0, found.end()) is None:
                    claims.update(_claims(found, trace.task))
    return claims


def _claims(found: "regex.Match[str]", task: Task) -> Claims:
    value, target = found["value"], found["target"]
    if target not in _TARGETS and task is Task.CONTENT_SAFETY:
        return {"unnamed": False}
    denials = sum(word in _DENIALS for word in found["words"].split())
    if task is Task.TOPIC_CONTROL:
        return {"topic": (_OFF.match(value) is not None) != bool(denials)}
    harmful = value.startswith(_HARMFUL) and not denials
    if target in ("neither", "nothing"):
        harmful = False
    elif value in _SAFE and denials:
        harmful = True
    if target in _EVERYTHING:
        return {"prompt": harmful, "response": harmful}
    if target in _UNNAMED:
        return {"unnamed": harmful}
    return {"response" if target in _RESPONSES else "prompt": harmful}
