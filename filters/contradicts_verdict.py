"""A trace must not conclude what its answer denies. Cheap cues only: what they do not see, a judge may."""

from functools import lru_cache

from safety_reasoning.builders.verdicts import HarmVerdict, parse_harm, parse_topic
from safety_reasoning.filters.claims import harm_claims, topic_claims
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace
from safety_reasoning.schemas.columns import Task

Verdicts = dict[str, bool]
"""By `prompt`, `response` or `topic`: harmful or off-topic is True."""


def contradicts_verdict(trace: Trace, limits: Limits) -> Drop | None:
    """CONTRADICTS_VERDICT if the last that is concluded differs from the answer; None if the answer does not parse."""
    given = _given(trace.task, trace.answer)
    if not given:
        return None
    concluded = _concluded(trace, given)
    return Drop.CONTRADICTS_VERDICT if any(given[of] != wrong for of, wrong in concluded.items()) else None


@lru_cache(maxsize=64)
def _given(task: Task, answer: str) -> Verdicts:
    """What the answer says; answers are few."""
    if task is Task.TOPIC_CONTROL:
        topic = parse_topic(answer)
        return {"topic": topic == "off-topic"} if topic in ("on-topic", "off-topic") else {}
    verdict = parse_harm(answer)
    if not isinstance(verdict, HarmVerdict):
        return {}
    prompt = {"prompt": verdict.prompt == "harmful"}
    return prompt if verdict.response is None else prompt | {"response": verdict.response == "harmful"}


def _concluded(trace: Trace, given: Verdicts) -> Verdicts:
    """The last claim on each verdict; one that names no party counts where the verdicts agree."""
    read = reading(trace.text)
    if trace.task is Task.TOPIC_CONTROL:
        last = next(topic_claims(read), None)
        return {"topic": last.wrong} if last else {}
    concluded: Verdicts = {}
    alike = len(set(given.values())) == 1
    for claim in harm_claims(read):
        everyone = claim.of == "both" or (claim.of == "unnamed" and alike)
        for of in given:
            if everyone or of == claim.of:
                concluded.setdefault(of, claim.wrong)
        if len(concluded) == len(given):
            break  # what was said before is taken back
    return concluded
