"""Regenerate: how a call is asked again when the filters dropped its trace (paper, section 4.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from safety_reasoning.builders.calls import Call, Status
from safety_reasoning.builders.opinion import NOT_JUDGED, mode_of
from safety_reasoning.filters.reasons import Drop

_SEED_STEP = 1_000_003
"""Between the seeds of two attempts; sample indexes lie between."""
_WARMER = 0.3
"""Added to the temperature of the second attempt again: enough to leave a loop, not enough to babble."""
_TOLD_FROM = 3
"""From this attempt on the teacher is told what was wrong."""

AGAIN = frozenset({Status.TRUNCATED, Status.EMPTY_REASONING, Status.EMPTY_ANSWER})
"""Replies without a usable answer that another seed may mend; what a server rejects it will reject again."""

WORDS: Mapping[str, str] = {
    Status.TRUNCATED: "it was too long to be finished",
    Status.EMPTY_REASONING: "it held no reasoning",
    Status.EMPTY_ANSWER: "it held no answer",
    Drop.EMPTY: "it held nothing",
    Drop.NO_REASONING: "it gave no reasons",
    Drop.VERDICT_LINE: "the reasoning stated the verdict in the format of the answer",
    Drop.THINK_TAG: "the reasoning held tags of its own frame",
    Drop.NOT_UNICODE: "it held broken characters",
    Drop.LABEL_LEAK: "it mentioned that a label was given",
    Drop.OVERTHINKING: "it hesitated and corrected itself again and again",
    Drop.REPETITION: "it repeated the same words",
    Drop.NEAR_DUPLICATE: "it said the same thing several times",
    Drop.TOO_LONG: "it was far too long",
    Drop.CONTRADICTS_VERDICT: "the reasoning argued for another verdict than the answer",
    Drop.TEACHER_REFUSAL: "it declined the task, which is to explain and not to comply",
    Drop.PROMPT_COPIED: "it copied the text under review in place of reasoning about it",
    Drop.WRONG_LANGUAGE: "it was not in English throughout",
    Drop.CONTROL_CHARACTERS: "it held control characters",
    Drop.BROKEN_MARKUP: "it held broken markup",
    Drop.TEMPLATE_ECHO: "it repeated these instructions",
    Drop.OVER_BUDGET: "it had more sentences than were asked for",
    "unfounded": "it claimed things that the text under review does not say",
}
"""What the teacher is told of a failure."""


def again(call: Call, attempt: int, failures: Sequence[str]) -> Call:
    """The call's attempt of that number, from 0; `failures`: why the attempts before were dropped."""
    if attempt == 0:
        return call
    sampling = call.sampling
    changes: dict[str, object] = {"seed": sampling.seed + attempt * _SEED_STEP}
    if attempt == _TOLD_FROM - 1:
        changes["temperature"] = sampling.temperature + _WARMER
    words = dict.fromkeys(WORDS[mode_of(failure)] for failure in failures if failure != NOT_JUDGED)
    told = tuple(words) if attempt >= _TOLD_FROM else ()
    return replace(call, attempt=attempt, avoid=told, sampling=sampling.changed(**changes))
