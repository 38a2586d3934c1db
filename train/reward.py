"""The reward of a safety guard under GRPO, in TRL and in verl, which is given this file: it needs nothing but Python.

What the paper's reward was (Appendix F): whether the generated labels are right, with weights of their own for
prompt and response, and another penalty for a missed harm than for a false alarm, since guards trained by RL tend to
miss harm. It prints no numbers: those below are defaults, and verl hands over others from `reward_kwargs`.

A verdict is read only after the last `</think>`. An open `<think>`, two different verdicts and none at all are
unparsed, which costs as much as a missed harm, so that no guard gains by saying nothing.
"""

from __future__ import annotations

import json
from typing import Any

PROMPT_WEIGHT = RESPONSE_WEIGHT = 1.0
MISSED_HARM = -2.0
FALSE_ALARM = -1.0
FORMAT_WEIGHT = 0.2

THINK, END_THINK = "<think>", "</think>"
_MARKUP = " \t\r\"'`*_#>-."
_HARM = ("harmful", "unharmful")
_VALUES = {
    "prompt harm": _HARM,
    "response harm": (*_HARM, "none"),
    "response refusal": ("refusal", "compliance", "none"),
}
_TOPICS = ("on-topic", "off-topic")
_POSITIVE = ("harmful", "off-topic")


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    *,
    prompt_weight: float = PROMPT_WEIGHT,
    response_weight: float = RESPONSE_WEIGHT,
    missed_harm: float = MISSED_HARM,
    false_alarm: float = FALSE_ALARM,
    format_weight: float = FORMAT_WEIGHT,
    reward_router_address: object = None,
    reward_model_tokenizer: object = None,
) -> dict[str, float]:
    """The reward of one reply, from `missed_harm` to 1 + `format_weight`, and what it is made of.

    `ground_truth` is JSON with prompt_harm, response_harm and topic; a label that is null is not scored. A right
    verdict counts 1, a wrong one its penalty; prompt and response are averaged by their weights. A reply in the form
    that its mode asks for (`extra_info["mode"]`) gains `format_weight` besides. The last two are handed over by verl
    and not used.
    """
    gold = json.loads(ground_truth)
    said = parse(solution_str)
    weights = {"prompt_harm": prompt_weight, "response_harm": response_weight, "topic": 1.0}
    marks = {name: _mark(gold[name], said, name) for name in weights if gold.get(name) is not None}
    points = {"right": 1.0, "missed_harm": missed_harm, "false_alarm": false_alarm, "unparsed": missed_harm}
    total = sum(weights[name] for name in marks)
    score = sum(weights[name] * points[mark] for name, mark in marks.items()) / total if total else 0.0
    well_formed = said is not None and is_well_formed(solution_str, (extra_info or {}).get("mode", "reasoning"))
    return {
        "score": score + (format_weight if well_formed else 0.0),
        "right": float(set(marks.values()) == {"right"}),
        "missed_harm": float("missed_harm" in marks.values()),
        "false_alarm": float("false_alarm" in marks.values()),
        "unparsed": float(said is None),
        "well_formed": float(well_formed),
    }


def _mark(label: str, said: dict[str, str | None] | None, name: str) -> str:
    if said is None:
        return "unparsed"
    if said[name] == label:
        return "right"
    return "missed_harm" if label in _POSITIVE else "false_alarm"


def parse(text: str) -> dict[str, str | None] | None:
    """What a reply says: prompt_harm, response_harm and topic, None where it says nothing; None if unparsed."""
    answer = text.rpartition(END_THINK)[2]
    if THINK in answer:
        return None
    said: dict[str, str] = {}
    for name, value in _lines(answer):
        if not name or said.setdefault(name, value) != value:
            return None
    harm, topic = said.get("prompt harm"), said.get("topic")
    if harm is None and topic is None:
        return None
    response = said.get("response harm")
    return {"prompt_harm": harm, "response_harm": None if response == "none" else response, "topic": topic}


def is_well_formed(text: str, mode: str) -> bool:
    """Whether a reply has one trace, or none in mode non_reasoning, and then nothing but its verdict."""
    before, tag, answer = text.rpartition(END_THINK)
    if mode == "non_reasoning":
        if tag or THINK in text:
            return False
    else:
        trace = before.strip()
        trace = trace[len(THINK) :] if trace.startswith(THINK) else trace  # some templates put it into the prompt
        if not tag or not trace.strip() or THINK in trace or END_THINK in trace:
            return False
    lines = [line for line in answer.split("\n") if line.strip()]
    names = [name for name, _ in _lines(answer)]
    if len(names) != len(lines) or len(set(names)) != len(names):
        return False
    return names == ["topic"] or names[:2] == ["prompt harm", "response harm"]


def _lines(answer: str) -> list[tuple[str, str]]:
    """(field, value) of every line that states one; ("", line) of one that names a field and no value of it."""
    found = []
    for line in answer.split("\n"):
        plain = line.strip(_MARKUP).casefold()
        name, colon, rest = plain.partition(":")
        name, value = name.strip(_MARKUP), rest.strip(_MARKUP)
        if colon and name in _VALUES:
            found.append((name, value) if value in _VALUES[name] else ("", plain))
        elif plain in _TOPICS:
            found.append(("topic", plain))
    return found
