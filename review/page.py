"""Page: what the browser is told of a trace, as JSON. Pure; every text is data here and is put in as text there.

The case, and what the filters and the judge found in it, are two documents, so that the first holds nothing of the
second: which attempt it was and whether it is released would tell that an earlier one was refused.
"""

from typing import Any

from safety_reasoning.builders.opinion import Opinion
from safety_reasoning.builders.samples import ContentSafetySample, Sample
from safety_reasoning.review.marks import KEYS, Mark, explained, mode_marked, words
from safety_reasoning.review.sample import Drawn


def case(drawn: Drawn) -> dict[str, Any]:
    """What a reviewer reads."""
    sample, sifted = drawn.tried.sample, drawn.tried.sifted
    return {
        "key": drawn.key,
        "task": str(sample.task),
        "teacher": drawn.tried.teacher,
        "step": str(sifted.reply.step),
        "inputs": [{"name": name, "text": text} for name, text in _inputs(sample)],
        "labels": [{"name": name, "text": text} for name, text in _labels(sample)],
        "answer": sifted.answer,
        "trace": sifted.trace,
    }


def _inputs(sample: Sample) -> list[tuple[str, str]]:
    if isinstance(sample, ContentSafetySample):
        response = [] if sample.response is None else [("Response", sample.response)]
        return [("Prompt", sample.prompt), *response]
    turns = [(f"Earlier turn, {turn.role}", turn.content) for turn in sample.history]
    return [("System instruction", sample.system_instruction), *turns, ("Last user message", sample.message)]


def _labels(sample: Sample) -> list[tuple[str, str]]:
    """The gold labels; a response without one is no row."""
    if not isinstance(sample, ContentSafetySample):
        return [("Topic", sample.topic)]
    named = (("Prompt", sample.prompt_harm), ("Response", sample.response_harm), ("Refusal", sample.refusal))
    return [(name, label) for name, label in named if label is not None]


def findings(drawn: Drawn) -> dict[str, Any]:
    """What the filters and the judge found, and what became of the trace."""
    sifted = drawn.tried.sifted
    return {
        "attempt": sifted.reply.attempt + 1,
        "released": drawn.tried.chosen and not sifted.reasons,
        "filters": sorted({mode_marked(reason) for reason in sifted.drops}),
        "judge": None if sifted.opinion is None else _judge(sifted.opinion),
    }


def _judge(opinion: Opinion) -> dict[str, Any]:
    found = opinion.found or {}
    return {
        "fault": opinion.fault,
        "found": [{"mode": mode, "evidence": evidence} for mode, evidence in found.items()],
    }


def modes() -> list[dict[str, str]]:
    """The failure modes with their keys, in the order in which they are listed."""
    return [
        {"mode": mode, "key": key, "words": words(mode), "explained": explained(mode)} for mode, key in KEYS.items()
    ]


def mark(given: Mark) -> dict[str, Any]:
    """A reviewer's own mark."""
    return {"modes": given.modes, "note": given.note}
