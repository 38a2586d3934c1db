"""Subsets, the split of a dual mixture, and turns of teachers: all follow from a seed and the rows' keys.

The keys have one random order a seed. A subset is the beginning of it, so the subsets of a seed are nested, and
whatever goes by the position in it (the mode, the turn) is the same for a row in every subset that holds it.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from safety_reasoning.train.conversations import RowMode
from safety_reasoning.train.mixture_recipe import Choice, Mode


def shuffled(keys: Iterable[str], seed: int) -> list[str]:
    """The keys in the seed's order; the first n are its subset of size n."""
    return sorted(keys, key=lambda key: (hashlib.blake2b(f"{seed} {key}".encode(), digest_size=8).digest(), key))


def modes(mode: Mode, count: int) -> list[RowMode]:
    """The modes of so many rows in the seed's order; a dual mixture has every other one reason (paper, section 5.4)."""
    if mode == "dual":
        return ["non_reasoning" if position % 2 else "reasoning" for position in range(count)]
    return [mode] * count


def best_first(agreement: Mapping[str, tuple[int, int]]) -> list[str]:
    """Teachers by the share of their verdicts that agree with the labels; `agreement` has (agreeing, all) verdicts."""
    shares = {teacher: agreeing / verdicts if verdicts else 0.0 for teacher, (agreeing, verdicts) in agreement.items()}
    return sorted(shares, key=lambda teacher: (-shares[teacher], teacher))


def teachers_of(trusted: Sequence[Collection[str]], choice: Choice, ranking: Sequence[str]) -> list[str]:
    """A teacher for each row, of those that can be trusted on it; every row has one at least.

    best: the one that comes first in the ranking. round_robin: the one that was taken least often so far.
    """
    taken: Counter[str] = Counter()
    chosen = []
    for names in trusted:
        free = [name for name in ranking if name in names]
        name = free[0] if choice == "best" else min(free, key=lambda one: taken[one])
        taken[name] += 1
        chosen.append(name)
    return chosen
