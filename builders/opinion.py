"""Opinion: what the judge says of a trace, read from its reply. A reply that cannot be read is no pass.

The judge answers with one JSON object: for each failure mode of its rubric, the words of the trace that show it and
whether it is there. What it was asked, and in what shape, says builders/judge.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema

from safety_reasoning.builders.calls import Reply, Status

NOT_JUDGED = "not_judged"
"""The reason of a trace that the judge could not judge."""
_REASON = "judge_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """The judge's words on one trace."""

    reply: Reply
    found: Mapping[str, str] | None
    """The evidence for each failure mode that it found; {} for none; None if it could not judge."""
    fault: str = ""
    """Why it could not: the reply's status, `no_json` or `other_shape`; '' where it could."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the trace is not released: `judge_MODE` for each mode found, or NOT_JUDGED; () for none."""
        if self.found is None:
            return (NOT_JUDGED,)
        return tuple(judge_reason(mode) for mode in self.found)


def judge_reason(mode: str) -> str:
    """The reason of a trace in which the judge found this mode; the rules' reason is the mode itself."""
    return f"{_REASON}{mode}"


def mode_of(reason: str) -> str:
    """The failure mode of a reason, whoever found it."""
    return reason.removeprefix(_REASON)


def answer_schema(modes: Sequence[str]) -> dict[str, Any]:
    """The JSON Schema of an answer about these modes; evidence comes first, so that it is looked for first."""
    finding = {
        "type": "object",
        "properties": {"evidence": {"type": "string"}, "present": {"type": "boolean"}},
        "required": ["evidence", "present"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": dict.fromkeys(modes, finding),
        "required": list(modes),
        "additionalProperties": False,
    }


def read_opinion(reply: Reply, modes: Sequence[str]) -> Opinion:
    """The opinion in a reply; one whose `found` is None where there is none to be read."""
    if reply.status is not Status.OK:
        return Opinion(reply=reply, found=None, fault=reply.status)
    try:
        answer = json.loads(_unfenced(reply.answer))
    except (ValueError, RecursionError):
        return Opinion(reply=reply, found=None, fault="no_json")
    if not jsonschema.Draft202012Validator(answer_schema(modes)).is_valid(answer):
        return Opinion(reply=reply, found=None, fault="other_shape")
    return Opinion(reply=reply, found={mode: answer[mode]["evidence"] for mode in modes if answer[mode]["present"]})


def _unfenced(text: str) -> str:
    """Without the code fence that servers without structured output let a model put around JSON."""
    text = text.strip()
    if not (text.startswith("```") and text.endswith("```")):
        return text
    return text.removeprefix("```").removeprefix("json").removesuffix("```")
