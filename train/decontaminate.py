"""Whether a text is in a held-out benchmark: to the letter, but for case and punctuation, or in its n-grams.

N-grams are of words. Two texts are compared by the share of n-grams that they have in common, of those of the
shorter one: a benchmark's question inside a long prompt counts whole, a greeting that both begin with hardly. A text
of fewer words than an n-gram cannot be judged by n-grams, and is said to be so. A word is a run of
letters, digits and underscores, so a script without spaces has few and long ones.

An n-gram is known by a 64-bit hash. The index of 20,000 texts takes some tens of MB, and judging is linear in the
text.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import regex

Kind = Literal["exact", "normalised", "ngram"]
Hashes = npt.NDArray[np.uint64]
_WORDS = regex.compile(r"\w+")
_FACTOR = 0x9E3779B97F4A7C15
"""Odd, so that a word's place in an n-gram is never lost modulo 2**64 (2**64 over the golden ratio)."""


@dataclass(frozen=True, slots=True)
class HeldOutText:
    """One text of a benchmark."""

    benchmark: str
    row: int
    """From 1, in its file or split."""
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """The benchmark text that a text is too close to."""

    kind: Kind
    benchmark: str
    row: int
    share: float
    """Of n-grams in common, of those of the shorter text; 1 for an equal one."""


Verdict = Match | Literal["too_short"] | None
"""None: the text is in no benchmark. too_short: it equals none, and is too short for n-grams."""


def words(text: str) -> list[str]:
    """The words of a text, whatever their case, width or composition."""
    return [str(word) for word in _WORDS.findall(unicodedata.normalize("NFKC", text).casefold())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The texts of the benchmarks, ready to be compared with."""

    n: int
    min_share: float
    places: Sequence[tuple[str, int]]
    """Benchmark and row of each text."""
    too_short: Mapping[str, int]
    """Texts of each benchmark that have no n-gram, so that they are only found whole."""
    exact: Mapping[bytes, int]
    normalised: Mapping[bytes, int]
    """The first text of each digest, by its number."""
    sizes: Hashes
    """N-grams of each text."""
    grams: Hashes
    """Of all texts, sorted; beside each, in `owners`, the number of its text."""
    owners: Hashes

    def judge(self, text: str) -> Verdict:
        """The benchmark text that this one is too close to, if any; of several the one that shares most."""
        said = words(text)
        if (found := self.exact.get(_digest(text))) is not None:
            return Match("exact", *self.places[found], 1.0)
        if (found := self.normalised.get(_digest(" ".join(said)))) is not None:
            return Match("normalised", *self.places[found], 1.0)
        return "too_short" if len(said) < self.n else self._overlap(said)

    def _overlap(self, said: Sequence[str]) -> Match | None:
        grams = _grams(said, self.n)
        first = np.searchsorted(self.grams, grams, "left")
        last = np.searchsorted(self.grams, grams, "right")
        hits = [self.owners[a:b] for a, b in zip(first, last, strict=True) if b > a]
        if not hits:
            return None
        owners, shared = np.unique(np.concatenate(hits), return_counts=True)
        shares = shared / np.minimum(self.sizes[owners], len(grams))
        best = int(shares.argmax())
        if shares[best] < self.min_share:
            return None
        return Match("ngram", *self.places[int(owners[best])], round(float(shares[best]), 4))


def build_index(texts: Iterable[HeldOutText], *, n: int, min_share: float) -> Index:
    """The index of these texts; a text without a word is nothing that anything could be close to."""
    places: list[tuple[str, int]] = []
    too_short: dict[str, int] = {}
    exact: dict[bytes, int] = {}
    normalised: dict[bytes, int] = {}
    grams = []
    for held_out in texts:
        said = words(held_out.text)
        too_short.setdefault(held_out.benchmark, 0)
        if not said:
            continue
        exact.setdefault(_digest(held_out.text), len(places))
        normalised.setdefault(_digest(" ".join(said)), len(places))
        too_short[held_out.benchmark] += len(said) < n
        grams.append(_grams(said, n))
        places.append((held_out.benchmark, held_out.row))
    sizes = np.array([len(found) for found in grams], np.uint64)
    everything = np.concatenate([np.empty(0, np.uint64), *grams])
    order = np.argsort(everything, kind="stable")
    return Index(
        n=n,
        min_share=min_share,
        places=places,
        too_short=too_short,
        exact=exact,
        normalised=normalised,
        sizes=sizes,
        grams=everything[order],
        owners=np.repeat(np.arange(len(grams), dtype=np.uint64), sizes.astype(np.int64))[order],
    )


def _grams(said: Sequence[str], n: int) -> Hashes:
    """The different n-grams, as hashes, sorted."""
    if len(said) < n:
        return np.empty(0, np.uint64)
    numbers = np.fromiter(map(_number, said), np.uint64, len(said))
    windows = np.lib.stride_tricks.sliding_window_view(numbers, n)
    factors = np.array([pow(_FACTOR, place, 2**64) for place in range(n)], np.uint64)
    return np.unique((windows * factors).sum(axis=1, dtype=np.uint64))


@lru_cache(maxsize=200_000)
def _number(word: str) -> int:
    """A random number for a word, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())


def _digest(text: str) -> bytes:
    # half of a surrogate pair, which JSON can hold, is no UTF-8
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
