"""Which pairs and prompts fit into a sequence, said before anything long begins; nothing is ever cut."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safety_reasoning.errors import UsageError
from safety_reasoning.train.preference_pairs import Pair, Unpaired
from safety_reasoning.train.preference_recipe import TuneRecipe
from safety_reasoning.train.sft_lengths import Fitted, TooLong
from safety_reasoning.train.sft_rows import Tokenizer, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPairs(Fitted):
    """The pairs that a guard is trained on; `rows` has the tokens of both answers of each."""

    pairs: Sequence[Pair]
    unpaired: "Counter[Unpaired]"
    hash: str
    """Of all pairs, those that are too long included."""

    def summary(self) -> dict[str, Any]:
        """Counts of pairs and tokens, and of rows without a pair, as JSON values."""
        return Fitted.summary(self) | {
            "rows": len(self.pairs),
            "pairs_hash": self.hash,
            "unpaired": {str(reason): self.unpaired[reason] for reason in Unpaired},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPrompts(Fitted):
    """The prompts that a guard answers in training; the completions of `rows` are what the mixture teaches."""

    reply_tokens: int

    def summary(self) -> dict[str, Any]:
        """Counts of prompts and their tokens, as JSON values."""
        counted = Fitted.summary(self)
        prompts = sorted(len(row.prompt) for row in self.rows)
        return counted | {
            "tokens": sum(prompts),
            "completion_tokens": None,
            "median_tokens": prompts[(len(prompts) - 1) // 2] if prompts else 0,
            "longest_tokens": prompts[-1] if prompts else None,
            "reply_tokens": self.reply_tokens,
        }


def fit_pairs(
    pairs: Iterable[Pair], tokenizer: Tokenizer, recipe: TuneRecipe
) -> tuple[list[Pair], list[Tokens], list[TooLong]]:
    """The pairs both of whose sides fit, their tokens, and those that are too long.

    Raises: UsageError if the recipe refuses some, or none is left.
    """
    kept: list[Pair] = []
    tokens: list[Tokens] = []
    too_long: list[TooLong] = []
    for pair in pairs:
        both = [tokenizer(pair.answered(answer)) for answer in (pair.chosen, pair.rejected)]
        longest = max(both, key=len)
        if len(longest) > recipe.max_tokens:
            too_long.append(TooLong(longest.key, longest.task, longest.mode, len(longest), "dropped"))
        else:
            kept.append(pair)
            tokens += both
    _check(recipe, len(kept), too_long)
    return kept, tokens, too_long


def fit_prompts(
    rows: Iterable[Mapping[str, Any]], tokenizer: Tokenizer, recipe: TuneRecipe, reply_tokens: int
) -> tuple[list[Mapping[str, Any]], FittedPrompts]:
    """The rows whose prompt leaves room for the longest answer, and what there is to say of them.

    Raises: UsageError if the recipe refuses some, or none is left.
    """
    kept: list[Mapping[str, Any]] = []
    tokens: list[Tokens] = []
    too_long: list[TooLong] = []
    for row in rows:
        one = tokenizer(row)
        needed = len(one.prompt) + reply_tokens
        if needed > recipe.max_tokens:
            too_long.append(TooLong(one.key, one.task, one.mode, needed, "dropped"))
        else:
            kept.append(row)
            tokens.append(one)
    _check(recipe, len(kept), too_long)
    fitted = FittedPrompts(rows=tokens, too_long=too_long, max_tokens=recipe.max_tokens, reply_tokens=reply_tokens)
    return kept, fitted


def _check(recipe: TuneRecipe, kept: int, too_long: Sequence[TooLong]) -> None:
    longest = max((row.tokens for row in too_long), default=0)
    if too_long and (recipe.too_long == "refuse" or not kept):
        raise UsageError(
            f"{len(too_long)} rows need more than {recipe.max_tokens} tokens, the longest {longest}",
            why=f'{recipe.method}.too_long is "refuse"' if kept else "no other row is left",
            fix=f"raise {recipe.method}.max_tokens" + (', or set too_long = "drop"' if kept else ""),
        )
