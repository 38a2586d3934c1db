"""The probability of a verdict, from the alternatives that the engine reports at the token that decides it.

The verdict's word is looked up in the answer, by the parser that reads it, and with it the first token at which
positive and negative part: `un` of `unharmful`, ` harm` of `harmful`, `off` of `off-topic`. What the reasoning says,
the same words among it, plays no part.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from safety_reasoning.builders.calls import TokenChoice
from safety_reasoning.builders.verdicts import Fault
from safety_reasoning.eval.guards.answers import Said, Words, after_reasoning

_SPACES = str.maketrans({"\u0120": " ", "\u2581": " ", "\u010a": "\n"})
"""How vocabularies write a space and a line break, for servers that report tokens undecoded."""
_BEFORE = " \n\t\"'*"
"""What may be a token of its own before a word."""
_ENDS = frozenset({"</s>", "<eos>", "<end_of_turn>"})


def verdict_probability(
    tokens: Sequence[TokenChoice], find: Callable[[str], Said | Fault], words: Words
) -> float | None:
    """The positive share, in [0, 1], of the mass that is positive or negative where the verdict is decided.

    A token that may still become either, a space or the `o` of `off-topic`, hands its mass on to the next. A side that
    is not among the alternatives has at most as much as the least of them, and counts so. None: no verdict, no
    alternatives, or none of weight among them that is a verdict.
    """
    mass, weight, begun = {True: 0.0, False: 0.0}, 1.0, ""
    for token, piece in _of_the_word(tokens, find):
        alternatives = tuple(_alternatives(token))
        for text, logprob in alternatives:
            meaning = _meaning(begun, text.translate(_SPACES), words)
            if meaning is not None:
                mass[meaning] += weight * _exp(logprob)
        begun += _bare(piece, begun)
        if begun and len(_meanings(begun, words)) <= 1:
            return _share(mass, weight * _least(token)) if alternatives else None
        weight *= _exp(token.logprob)
    return None


def _share(mass: Mapping[bool, float], least: float) -> float | None:
    seen = max(mass.values())
    if seen == 0 or (0 in mass.values() and least > seen):
        return None  # what was not reported may be more than what was
    positive, negative = mass[True] or least, mass[False] or least
    return positive / (positive + negative)


def _least(token: TokenChoice) -> float:
    """The probability of the least likely alternative; the chosen token may be one that was added to the list."""
    return min(_exp(logprob) for piece, logprob in token.others if piece != token.token)


def _of_the_word(
    tokens: Sequence[TokenChoice], find: Callable[[str], Said | Fault]
) -> Iterator[tuple[TokenChoice, str]]:
    """The tokens from the verdict's word on, those of the space and quotes before it too; () without a verdict."""
    pieces = _pieces(tokens)
    text = "".join(pieces)
    answer = after_reasoning(text)
    said = answer if isinstance(answer, Fault) else find(answer)
    if isinstance(said, Fault) or said.at is None:
        return
    place, start = len(text) - len(answer) + said.at, 0
    first = len(text[:place].rstrip(_BEFORE))
    for token, piece in zip(tokens, pieces, strict=False):  # the pieces end before the tokens of the end do
        if start < place < start + len(piece) and any(char.isalnum() for char in piece[: place - start]):
            return  # the token holds other words too, and so may the alternatives
        if start >= first or start + len(piece) > place:
            yield token, piece
        start += len(piece)


def _pieces(tokens: Sequence[TokenChoice]) -> list[str]:
    pieces = [token.token.translate(_SPACES) for token in tokens]
    while pieces and _is_end(pieces[-1].strip()):
        pieces.pop()
    return pieces


def _is_end(piece: str) -> bool:
    return not piece or piece in _ENDS or (piece.startswith("<|") and piece.endswith("|>"))


def _bare(piece: str, begun: str) -> str:
    """A token as it goes on with a word that has begun, or begins one: without the space and quotes before it."""
    text = piece.lower()
    if begun:
        return text
    start = next((place for place, char in enumerate(text) if char.isalnum()), len(text))
    return text[start:]


def _meanings(text: str, words: Words) -> set[bool | None]:
    """What a beginning may become: of `o` both on-topic and off-topic, of `un` unsafe alone."""
    return {meaning for word, meaning in words.items() if word.startswith(text) or _is_word(text, word)}


def _is_word(text: str, word: str) -> bool:
    return text.startswith(word) and not text[len(word) : len(word) + 1].isalnum()


def _meaning(begun: str, piece: str, words: Words) -> bool | None:
    """What a token makes of a word that has begun; None: neither, or still either."""
    tail = _bare(piece, begun)
    meanings = _meanings(begun + tail, words) if tail else set()
    return next(iter(meanings)) if len(meanings) == 1 else None


def _exp(logprob: float) -> float:
    return 0.0 if math.isnan(logprob) else math.exp(min(logprob, 0.0))


def _alternatives(token: TokenChoice) -> Iterable[tuple[str, float]]:
    """The alternatives and the chosen token, once; nothing where the engine reports the chosen one alone."""
    if not token.others or all(piece == token.token for piece, _ in token.others):
        return ()
    chosen = (token.token, token.logprob)
    return token.others if any(piece == token.token for piece, _ in token.others) else (*token.others, chosen)
