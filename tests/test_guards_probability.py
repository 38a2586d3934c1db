"""The probability of a verdict: the share of its alternatives, at the token that decides it and at no other."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from safety_reasoning.builders.calls import TokenChoice
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.guards.adapters import open_guard
from tests.guard_items import GUARDS, IDS, ITEMS, PROMPT, RESPONSE, TURN, items_of


def plain(*pieces: str) -> list[TokenChoice]:
    """Tokens that decide nothing, as a server reports them."""
    return [TokenChoice(piece, math.log(0.9), ((piece, math.log(0.9)), ("\n", math.log(0.1)))) for piece in pieces]


def sure(*pieces: str) -> list[TokenChoice]:
    """Tokens that had no alternative worth the name."""
    return [TokenChoice(piece, 0.0, ((piece, 0.0), ("\n", -30.0))) for piece in pieces]


def choice(token: str, **shares: float) -> TokenChoice:
    """A token with the shares of its alternatives; `_` stands for a space."""
    others = tuple((piece.replace("_", " "), math.log(share)) for piece, share in shares.items())
    return TokenChoice(token, next((log for piece, log in others if piece == token), -5.0), others)


H3_HEAD = plain("Prompt", " harm", ":")
H3_TAIL = plain("\n\n", "Response", " harm", ":", " None")
TRACE = plain("<think>", "Prompt", " harm", ":", " harm", "ful", "</think>", "\n\n")
CASES: list[tuple[str, str, dict[str, Any], Item, Sequence[TokenChoice], float | None]] = [
    (
        "the word in two pieces",
        "ours",
        {},
        PROMPT,
        [*H3_HEAD, choice(" harm", _harm=0.6, _un=0.3, _not=0.1), *plain("ful"), *H3_TAIL],
        0.6 / 0.9,
    ),
    (
        "the reasoning says the same words",
        "ours",
        {},
        PROMPT,
        [*TRACE, *H3_HEAD, choice(" un", _un=0.8, _harm=0.2), *plain("harm", "ful"), *H3_TAIL],
        0.2,
    ),
    (
        "the response's line, not the prompt's",
        "ours",
        {},
        RESPONSE,
        [
            *H3_HEAD,
            choice(" harm", _harm=0.99, _un=0.01),
            *plain("ful", "\n", "Response", " harm", ":"),
            choice(" un", _un=0.5, _harm=0.25, _None=0.25),
            *plain("harm", "ful"),
        ],
        0.25 / 0.75,
    ),
    (
        "a vocabulary that is not decoded",
        "instruct",
        {},
        PROMPT,
        [
            *plain("Prompt", "\u0120harm", ":"),
            choice("\u0120unharmful", **{"\u0120unharmful": 0.4, "\u0120harmful": 0.1}),
            *plain("\u010a", "Response", "\u0120harm", ":", "\u0120None"),
        ],
        0.2,
    ),
    (
        "several alternatives of one meaning",
        "ours",
        {},
        PROMPT,
        [
            *H3_HEAD,
            choice(" harmful", _harmful=0.5, harmful=0.1, _Harm=0.1, _unharmful=0.2, _un=0.1),
            *H3_TAIL,
        ],
        0.7,
    ),
    (
        "both words begin alike, so the next token decides",
        "ours",
        {},
        TURN,
        [choice("o", o=0.99, x=0.01), choice("ff", ff=0.75, n=0.25), *plain("-topic")],
        0.75,
    ),
    ("one token", "nemoguard_topic", {}, TURN, [choice("on", on=0.7, off=0.3), *plain("-topic", " ")], 0.3),
    ("the first token", "llama_guard_3", {}, PROMPT, [*plain("\n\n"), choice("safe", safe=0.8, unsafe=0.2)], 0.2),
    (
        "a token that ends the reply",
        "llama_guard_4",
        {},
        PROMPT,
        [choice("unsafe", unsafe=0.5, safe=0.5), *plain("\n", "S", "1", "<|eot|>")],
        0.5,
    ),
    (
        "three grades, strict",
        "qwen3guard",
        {"mode": "strict"},
        PROMPT,
        [*plain("Safety", ":"), choice(" Cont", _Cont=0.5, _Safe=0.3, _Unsafe=0.2), *plain("roversial", "\n")],
        0.7,
    ),
    (
        "three grades, loose",
        "qwen3guard",
        {"mode": "loose"},
        PROMPT,
        [*plain("Safety", ":"), choice(" Cont", _Cont=0.5, _Safe=0.3, _Unsafe=0.2), *plain("roversial", "\n")],
        0.2,
    ),
    (
        "yes, before it explains",
        "shieldgemma",
        {},
        PROMPT,
        [choice("No", No=0.9, Yes=0.1), *plain(".", " Yes", " it", " is")],
        0.1,
    ),
    (
        "inside a tag",
        "granite_guardian",
        {"version": "3.3"},
        PROMPT,
        [*plain("<think>", "yes", "</think>", "<score>"), choice(" no", _no=0.6, _yes=0.2), *plain(" ", "</score>")],
        0.25,
    ),
    (
        "inside quotation marks",
        "aegis2",
        {},
        RESPONSE,
        [
            *plain('{"', "User", " Safety", '":', ' "', "unsafe", '",', ' "', "Response", " Safety", '":'),
            choice(' "', **{' "': 1.0}),
            choice("safe", safe=0.9, unsafe=0.1),
            *plain('"}'),
        ],
        0.1,
    ),
    (
        "N may become N/A, so the letter after it decides",
        "wildguard",
        {},
        RESPONSE,
        [
            *plain("Harmful request:", " no\n", "Response refusal:", " no\n", "Harmful response:"),
            choice(" N", _N=0.9, _Y=0.1),
            choice("o", **{"o": 0.5, "/A": 0.5}),
        ],
        0.1 / (0.1 + 0.9 * 0.5),
    ),
    (
        "the answers, not the steps before them",
        "guardreasoner",
        {},
        PROMPT,
        [
            *plain("Request:", " unharmful", "\n", "Answers:", "\n", "Request:"),
            choice(" harmful", _harmful=0.9, _unharmful=0.1),
            *plain("\n", "Response: None"),
        ],
        0.9,
    ),
    (
        "harmony's final channel",
        "gpt_oss_safeguard",
        {},
        PROMPT,
        [
            *plain("<|channel|>", "analysis", "<|message|>", "1", "?", "<|end|>", "<|start|>", "assistant"),
            *plain("<|channel|>", "final", "<|message|>"),
            TokenChoice("0", math.log(0.75), (("0", math.log(0.75)), ("1", math.log(0.25)))),
            *plain("<|return|>"),
        ],
        0.25,
    ),
    (
        "the chosen token is not among those reported",
        "llama_guard_3",
        {},
        PROMPT,
        [TokenChoice("unsafe", math.log(0.1), (("safe", math.log(0.4)), ("x", -0.1)))],
        0.2,
    ),
    (
        "one side alone, the other no likelier than the least",
        "llama_guard_3",
        {},
        PROMPT,
        [choice("safe", safe=0.96, S=0.03, Yes=0.01)],
        0.01 / (0.99 + 0.01),
    ),
    (
        "a grammar forced a word that the model did not think of",
        "nemoguard_topic",
        {},
        TURN,
        [TokenChoice("on", -8.8, (("Output", math.log(0.5)), ("The", math.log(0.1)))), *plain("-topic")],
        None,
    ),
    (
        "a space of its own, as small vocabularies have it",
        "ours",
        {},
        PROMPT,
        [
            *H3_HEAD,
            choice(" ", **{" ": 0.5, " un": 0.1, " harm": 0.1, "\n": 0.3}),
            choice("un", un=0.4, harm=0.2, h=0.2, ext=0.2),
            *plain("harm", "ful"),
        ],
        (0.1 + 0.5 * 0.4) / (0.1 + 0.1 + 0.5 * 0.8),
    ),
    ("no alternatives", "llama_guard_3", {}, PROMPT, [TokenChoice("unsafe", -0.1)], None),
    ("the chosen one alone", "llama_guard_3", {}, PROMPT, [TokenChoice("safe", -0.1, (("safe", -0.1),))], None),
    ("no mass at all", "llama_guard_3", {}, PROMPT, [TokenChoice("safe", -9999.0, (("x", 0.0),))], None),
    ("two verdicts", "llama_guard_3", {}, PROMPT, [choice("safe", safe=0.6, unsafe=0.4), *plain("\n", "unsafe")], None),
    ("an open think", "ours", {}, PROMPT, [*plain("<think>"), *H3_HEAD, choice(" harm", _harm=0.9, _un=0.1)], None),
    ("a rule", "always_positive", {}, PROMPT, [], None),
    (
        "a token with more than the word",
        "qwen3guard",
        {},
        PROMPT,
        [TokenChoice("Safety: Safe", math.log(0.5), (("Safety: Safe", math.log(0.5)), ("unsafe", math.log(0.5))))],
        None,
    ),
]


@pytest.mark.parametrize(
    ("name", "settings", "item", "tokens", "share"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_probability_is_the_positive_share_where_the_verdict_is_decided(
    name: str, settings: dict[str, Any], item: Item, tokens: Sequence[TokenChoice], share: float | None
) -> None:
    found = open_guard(name, **settings).probability(item, tokens)
    assert found == (None if share is None else pytest.approx(share))


PAIRS: list[tuple[str, dict[str, Any], Subject, str, str]] = [
    (
        "ours",
        {},
        Subject.PROMPT,
        "Prompt harm: harmful\n\nResponse harm: None",
        "Prompt harm: unharmful\n\nResponse harm: None",
    ),
    ("ours", {}, Subject.TURN, "off-topic", "on-topic"),
    (
        "wildguard",
        {},
        Subject.PROMPT,
        "Harmful request: yes\nResponse refusal: N/A",
        "Harmful request: no\nResponse refusal: N/A",
    ),
    ("aegis2", {}, Subject.PROMPT, '{"User Safety": "unsafe"}', '{"User Safety": "safe"}'),
    ("llama_guard_4", {}, Subject.RESPONSE, "unsafe\nS1", "safe"),
    ("qwen3guard", {}, Subject.PROMPT, "Safety: Unsafe\nCategories: PII", "Safety: Safe\nCategories: None"),
    ("granite_guardian", {"version": "4.1"}, Subject.PROMPT, "<score> yes </score>", "<score> no </score>"),
    ("gpt_oss_safeguard", {"output": "json"}, Subject.PROMPT, '{"violation": 1}', '{"violation": 0}'),
    ("guardreasoner", {}, Subject.RESPONSE, "Answers: \nResponse: harmful\n", "Answers: \nResponse: unharmful\n"),
]


def vocabulary(merges: int) -> Tokenizer:
    """A real byte-level BPE, trained on the answers; more merges, longer pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=256 + merges,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([answer for pair in PAIRS for answer in pair[3:]] * 4, trainer)
    return tokenizer


@pytest.mark.parametrize("decoded", [True, False], ids=["decoded", "as in the vocabulary"])
@pytest.mark.parametrize("merges", [0, 12, 40, 400])
def test_with_a_real_tokenizer_the_deciding_token_is_where_the_two_answers_part(merges: int, decoded: bool) -> None:
    tokenizer = vocabulary(merges)

    def pieces(text: str) -> list[str]:
        encoded = tokenizer.encode(text)
        return [tokenizer.decode([token]) for token in encoded.ids] if decoded else encoded.tokens

    for name, settings, subject, positive, negative in PAIRS:
        for chosen, other, share in ((positive, negative, 0.7 / 0.9), (negative, positive, 0.2 / 0.9)):
            mine, theirs = pieces(chosen), pieces(other)
            part = next(place for place, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b)
            at = TokenChoice(mine[part], math.log(0.7), ((mine[part], math.log(0.7)), (theirs[part], math.log(0.2))))
            tokens = [*sure(*mine[:part]), at, *sure(*mine[part + 1 :])]
            found = open_guard(name, **settings).probability(ITEMS[subject], tokens)
            if theirs[part].strip(" \u0120") not in (
                "",
                "o",
            ):  # these may go on with either word, and count for neither
                assert found == pytest.approx(share), (name, mine, theirs)


PIECES = st.sampled_from(
    ["Prompt harm:", "Response harm:", " harmful", " un", "harm", "safe", "unsafe", "o", "ff-topic", "Yes", "No", "1"]
) | st.sampled_from(["<think>", "</think>", "\n", '{"User Safety": "', '"}', "Answers:", "<score>", "\ud800", ""])
TOKENS = st.lists(
    st.builds(
        TokenChoice,
        PIECES | st.text(max_size=6),
        st.floats(),
        st.lists(st.tuples(PIECES | st.text(max_size=6), st.floats()), max_size=4).map(tuple),
    ),
    max_size=10,
)


@given(TOKENS)
def test_whatever_the_tokens_the_probability_is_one_or_none(tokens: list[TokenChoice]) -> None:
    for guard in GUARDS:
        for item in items_of(guard):
            found = guard.probability(item, tokens)
            assert found is None or 0.0 <= found <= 1.0


@pytest.mark.parametrize("guard", GUARDS, ids=IDS)
def test_a_reply_of_many_tokens_is_looked_through_once(guard: Any) -> None:
    tokens = plain(*[" harmful"] * 5_000)
    assert [guard.probability(item, tokens) for item in items_of(guard)] == [None] * len(items_of(guard))
