"""Pairs for preference training: of two answers to one prompt, the right one and the wrong one. Pure."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from safety_reasoning.builders.verdicts import END_THINK, THINK
from safety_reasoning.train.mine_outcome import Outcome
from safety_reasoning.train.mine_rows import RowId, row_id
from safety_reasoning.train.mine_samples import Kind


class Unpaired(StrEnum):
    """Why a row gives no pair. Codes are public: added to, never given a new meaning."""

    NOT_DIFFICULT = "not_difficult"
    NONE_RIGHT = "none_right"
    """No generation is right."""
    NONE_WRONG = "none_wrong"
    """None is wrong in a way that may be rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRules:
    """Which generations make pairs; see `DpoRecipe`."""

    samples: Literal["difficult", "mixed"]
    per_row: int
    unparsed: bool
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two answers to one prompt."""

    row: Mapping[str, Any]
    """Of the mixture; its completion is not looked at."""
    chosen: str
    rejected: str

    def columns(self) -> dict[str, Any]:
        """As TRL reads it."""
        said = {name: [{"role": "assistant", "content": getattr(self, name)}] for name in ("chosen", "rejected")}
        columns = {"prompt": self.row["prompt"], **said}
        if (template := self.row.get("chat_template_kwargs")) is not None:
            columns["chat_template_kwargs"] = template
        return columns

    def answered(self, answer: str) -> dict[str, Any]:
        """The row of a mixture with this answer in place of its own."""
        return {**self.row, "completion": [{"role": "assistant", "content": answer}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """All pairs of a folder of mined rows."""

    pairs: Sequence[Pair]
    unpaired: "Counter[Unpaired]"
    """Rows that give none."""

    @property
    def hash(self) -> str:
        """sha256 over the pairs, as lines of canonical JSON."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            said = {"id": row_id(pair.row), **pair.columns()}
            digest.update(json.dumps(said, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode("ascii"))
            digest.update(b"\n")
        return digest.hexdigest()


def pair_all(samples: Iterable[Mapping[str, Any]], rows: Mapping[RowId, Mapping[str, Any]], rules: PairRules) -> Paired:
    """The pairs of all rows, in their order; `samples` and `rows` as `mine_read` gives them."""
    pairs: list[Pair] = []
    unpaired: Counter[Unpaired] = Counter()
    for sample in samples:
        found = pair_row(sample, rules)
        if isinstance(found, Unpaired):
            unpaired[found] += 1
        else:
            pairs += [Pair(row=rows[row_id(sample)], chosen=right, rejected=wrong) for right, wrong in found]
    return Paired(pairs=pairs, unpaired=unpaired)


def pair_row(sample: Mapping[str, Any], rules: PairRules) -> list[tuple[str, str]] | Unpaired:
    """(chosen, rejected) of one row, or why there is none."""
    if rules.samples == "difficult" and sample["kind"] != Kind.DIFFICULT:
        return Unpaired.NOT_DIFFICULT
    rejected = {Outcome.WRONG, Outcome.UNPARSED} if rules.unparsed else {Outcome.WRONG}
    rights = _texts(sample, {Outcome.RIGHT}, rules.seed)
    wrongs = _texts(sample, rejected, rules.seed)
    if not rights:
        return Unpaired.NONE_RIGHT
    if not wrongs:
        return Unpaired.NONE_WRONG
    return list(_combinations(rights, wrongs))[: rules.per_row]


def _texts(sample: Mapping[str, Any], outcomes: set[Outcome], seed: int) -> list[str]:
    """The texts of generations that ended so, each once, in the seed's order."""
    texts = {completion(one["reasoning"], one["answer"]) for one in sample["generations"] if one["outcome"] in outcomes}

    def place(text: str) -> bytes:
        return hashlib.blake2b(f"{seed} {sample['key']} {text}".encode(), digest_size=8).digest()

    return sorted(texts, key=lambda text: (place(text), text))


def _combinations(rights: Sequence[str], wrongs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every right one with every wrong one, so that none comes again before each of its kind, if any do, came once."""
    many, few = (rights, wrongs) if len(rights) >= len(wrongs) else (wrongs, rights)
    for shift in range(len(few)):
        for place, one in enumerate(many):
            other = few[(place + shift) % len(few)]
            yield (one, other) if many is rights else (other, one)


def completion(reasoning: str | None, answer: str) -> str:
    """A generation as the guard wrote it, in the form that it was taught (train/conversations.py)."""
    if reasoning is None:
        return answer
    return f"{THINK}\n{reasoning}\n{END_THINK}\n\n{answer}"
