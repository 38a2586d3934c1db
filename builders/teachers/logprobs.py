"""Log probabilities of a reply's tokens, as servers report them: any JSON may come.

All or nothing: a list with one entry that cannot be used gives no tokens at all, since a probability that is read off
the wrong token is worse than none.
"""

from collections.abc import Iterator
from typing import Any

from safety_reasoning.builders.calls import TokenChoice

_LEAST = -9999.0
"""What servers that cannot write minus infinity write in its place."""
_ROUNDING = 1e-3
"""How far above 0 rounding may take the logarithm of a probability."""


class _Unusable(Exception):
    """An entry is not what the protocol says."""


def chat_tokens(choice: Any, most: int) -> tuple[TokenChoice, ...]:
    """The tokens of a chat completion's choice with at most so many alternatives each; () where it has none."""
    entries = _of(_of(choice, "logprobs"), "content")
    if not isinstance(entries, list):
        return ()
    try:
        return tuple(_chat_token(entry, most) for entry in entries)
    except _Unusable:
        return ()


def text_tokens(choice: Any, most: int) -> tuple[TokenChoice, ...]:
    """The tokens of a text completion's choice with at most so many alternatives each; () where it has none.

    Some servers answer in the shape of a chat completion here too.
    """
    said = _of(choice, "logprobs")
    tokens, values, others = (_of(said, name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        return chat_tokens(choice, most)
    if not isinstance(others, list) or len(others) != len(tokens):
        others = [None] * len(tokens)
    try:
        return tuple(
            TokenChoice(_text(token), _logarithm(value), _likeliest(_pairs(at), most))
            for token, value, at in zip(tokens, values, others, strict=True)
        )
    except _Unusable:
        return ()


def _logarithm(value: Any) -> float:
    """A log probability, at most 0 and never infinite.

    Raises: _Unusable for anything that is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unusable
    if not value <= _ROUNDING:  # no number either
        raise _Unusable
    return float(min(max(value, _LEAST), 0.0))  # in this order: an int may be too large for a float


def _chat_token(entry: Any, most: int) -> TokenChoice:
    others = _of(entry, "top_logprobs")
    named = ((_of(other, "token"), _of(other, "logprob")) for other in (others if isinstance(others, list) else []))
    return TokenChoice(_text(_of(entry, "token")), _logarithm(_of(entry, "logprob")), _likeliest(named, most))


def _pairs(at: Any) -> Iterator[tuple[Any, Any]]:
    yield from at.items() if isinstance(at, dict) else ()


def _likeliest(named: Iterator[tuple[Any, Any]], most: int) -> tuple[tuple[str, float], ...]:
    pairs = [(_text(token), _logarithm(value)) for token, value in named]
    return tuple(sorted(pairs, key=lambda pair: -pair[1])[: most + 1])  # the chosen one may stand beside the likeliest


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unusable
    return value


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
