"""Calls, requests and replies: what is asked of a teacher, how it travels to an engine, and what came back.

A call's key is the hash of everything that shapes its answer. Change a prompt, a label or a sampling parameter
and only the calls that it shapes are made again; where a call is served (engine, address, concurrency,
time-outs) is no part of it. A reply is written once and never changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from safety_reasoning.builders.prompts import Prompt, load_prompt, render
from safety_reasoning.builders.recipe import Sampling
from safety_reasoning.builders.samples import Turn, digest

_AGAIN = "again"
"""The prompt that is put after a call's own, to say what was wrong with the attempts before."""


class Step(StrEnum):
    """What a call is for."""

    FULL = "full"
    """The full trace and the verdict beside it."""
    PREDICT = "predict"
    """A verdict by a teacher that is not told the gold label."""
    JUDGE = "judge"
    """What a judge makes of a trace; the call's teacher is the one whose trace it is."""
    GUARD = "guard"
    """A guard's answer to an item of a task, or to a text of its user's."""
    MINE = "mine"
    """A guard's answer to a row that it may be trained on."""
    EFFICIENT_1 = "efficient-1"
    """The full trace rewritten in one sentence; the others, in so many (paper, section 5.3)."""
    EFFICIENT_2 = "efficient-2"
    EFFICIENT_3 = "efficient-3"
    EFFICIENT_4 = "efficient-4"
    EFFICIENT_5 = "efficient-5"
    EFFICIENT_6 = "efficient-6"
    EFFICIENT_7 = "efficient-7"
    EFFICIENT_8 = "efficient-8"
    EFFICIENT_9 = "efficient-9"
    EFFICIENT_10 = "efficient-10"

    @classmethod
    def efficient(cls, sentences: int) -> "Step":
        """The rewrite in so many sentences, 1 to 10."""
        return cls(f"efficient-{sentences}")

    @property
    def is_efficient(self) -> bool:
        """Whether it is a rewrite."""
        return self.startswith("efficient-")

    @property
    def measures(self) -> bool:
        """Whether it is a guard's answer, which is counted however it ends: none and half of one are results too."""
        return self in {Step.GUARD, Step.MINE}


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


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """A token of a reply and what might have stood in its place."""

    token: str
    logprob: float
    others: tuple[tuple[str, float], ...] = ()
    """(token, log probability) of the likeliest, the chosen one among them as a rule."""


def tokens_json(tokens: Sequence[TokenChoice]) -> list[Any]:
    """Tokens as JSON keeps them."""
    return [[token.token, token.logprob, [list(other) for other in token.others]] for token in tokens]


def tokens_of_json(kept: Sequence[Any]) -> tuple[TokenChoice, ...]:
    """Tokens as `tokens_json` wrote them.

    Raises: ValueError or TypeError for anything else.
    """
    return tuple(
        TokenChoice(str(token), float(logprob), tuple((str(other), float(value)) for other, value in others))
        for token, logprob, others in kept
    )


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
    sample_index: int = 0
    """Which of several replies to the same question this is; each is asked with a seed of its own."""
    attempt: int = 0
    """0, and one more each time that the trace before was dropped."""
    avoid: tuple[str, ...] = ()
    """What was wrong with the attempts before, in words for the teacher; () where it is not told."""
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
                self.sampling.shape,
                self.sample_index,
                self.attempt,
                [load_prompt(_AGAIN).sha256, *self.avoid] if self.avoid else [],
                self.grammar,
            ]
        )

    def longer(self) -> "Call | None":
        """The same call with the larger token limit that the recipe allows a truncated reply; None without one."""
        if self.sampling.retry_max_tokens is None:
            return None
        return replace(self, sampling=self.sampling.longer())

    def request(self, key: str) -> "Request":
        """The call ready to be sent; `key` is its own, computed once by whoever looked for it in the store."""
        return Request(
            key=key,
            sample_key=self.sample_key,
            teacher=self.teacher,
            step=self.step,
            sample_index=self.sample_index,
            attempt=self.attempt,
            model=self.model,
            text=self._text(),
            head=self.prompt.head,
            sampling=self.sampling,
            grammar=self.grammar,
        )

    def _text(self) -> str:
        text = render(self.prompt, self.variables)
        if not self.avoid:
            return text
        return f"{text}\n\n{render(load_prompt(_AGAIN), {'failures': '; '.join(self.avoid)})}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which call it is, in everything that travels or is stored."""

    key: str
    sample_key: str
    teacher: str
    step: Step
    sample_index: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Identity):
    """A call as an engine sends it, on this machine or another."""

    model: str
    text: str
    """The single user message."""
    messages: tuple[Turn, ...] = ()
    """The chat, where it is not `text` alone; `text` is then not sent."""
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """What the chat template is given beside the messages; `chat_template_kwargs` of a recipe go above it."""
    raw: bool = False
    """`text` is the whole that the model reads, in no chat template."""
    head: str = ""
    """The start of `text` that every sample shares: engines may keep its state."""
    sampling: Sampling
    logprobs: int = 0
    """So many of each token's likeliest alternatives are asked for, with their log probabilities; 0: none."""
    grammar: str = ""

    @property
    def chat(self) -> tuple[Turn, ...]:
        """The messages as they are sent."""
        return self.messages or (Turn("user", self.text),)

    @property
    def seed(self) -> int:
        """The recipe's seed, moved by the sample index."""
        return self.sampling.seed + self.sample_index

    def reply(self, status: Status, **outcome: object) -> "Reply":
        """A reply to this request; `outcome` holds further fields of `Reply`."""
        return Reply(
            key=self.key,
            sample_key=self.sample_key,
            teacher=self.teacher,
            step=self.step,
            sample_index=self.sample_index,
            attempt=self.attempt,
            status=status,
            **outcome,  # type: ignore[arg-type]  # checked by Reply itself
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Identity):
    """What came back, kept as it came: nothing is parsed before it is stored."""

    status: Status
    reasoning: str | None = None
    """From the server's own field, or from <think> tags in the text; None where there is none."""
    answer: str = ""
    tokens: tuple[TokenChoice, ...] = ()
    """All tokens of the reply, reasoning too, where the request wants them and the engine gives them."""
    finish_reason: str = ""
    model: str = ""
    """As the server reports it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    latency_s: float = 0.0
    cost_usd: float | None = None
    """By the recipe's price table; None without one."""
    error: str = ""
    """The server's words, for a status that is no answer."""
