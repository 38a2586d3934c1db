"""Calls and replies: what is asked of a teacher, and what came back.

A call's key is the hash of everything that shapes its answer. Change a prompt, a label or a sampling parameter
and only the calls that it shapes are made again; where a call is served (address, concurrency, time-outs) is
no part of it. A reply is written once and never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from safety_reasoning.builders.prompts import Prompt, render
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.builders.samples import digest


class Step(StrEnum):
    """What a call is for."""

    FULL = "full"
    """The full trace and the verdict beside it."""
    PREDICT = "predict"
    """A verdict by a teacher that is not told the gold label."""
    EFFICIENT = "efficient-1"
    """The full trace rewritten in one sentence."""


class Status(StrEnum):
    """How a call ended. Public codes: added to, never given a new meaning."""

    OK = "ok"
    TRUNCATED = "truncated"
    """The reply met its token limit: it has no complete answer."""
    EMPTY_REASONING = "empty_reasoning"
    """A full-trace call whose reply has no reasoning: the server drops or renames it, or the model gave none."""
    EMPTY_ANSWER = "empty_answer"
    REJECTED = "rejected"
    """The server will not answer this call (400, 413, 422): too long, or refused."""
    ERROR_BODY = "error_body"
    """HTTP 200 whose body is an error or holds no choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to one teacher."""

    step: Step
    sample_key: str
    teacher: str
    model: str
    prompt: Prompt
    variables: Mapping[str, str]
    sampling: Sampling
    parent_key: str = ""
    """The call whose reply the variables quote: its key stands for that text."""
    attempt: int = 0
    grammar: str = ""
    """GBNF that the answer is forced into; the embedded engine only."""

    @property
    def key(self) -> str:
        """32 hex digits."""
        quoted = self.parent_key or digest(sorted(self.variables.items()))
        return digest(
            [
                self.step,
                self.sample_key,
                self.teacher,
                self.model,
                self.prompt.sha256,
                quoted,
                self.sampling.model_dump(mode="json"),
                self.attempt,
                self.grammar,
            ]
        )

    def text(self) -> str:
        """The single user message to send."""
        return render(self.prompt, self.variables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, kept as it came: nothing is parsed before it is stored."""

    key: str
    status: Status
    reasoning: str | None = None
    """From the server's own field, or from <think> tags in the text; None where there is none."""
    answer: str = ""
    finish_reason: str = ""
    model: str = ""
    """As the server reports it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    error: str = ""
    """The server's words, for a status that is no answer."""
