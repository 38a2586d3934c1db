"""Pseudo-natural text: seeded, in sentences, of a large vocabulary with the word frequencies of a language.

No sentence recurs, so a compressor gains no more on it than on prose: zstd level 3 takes a text of 1.5 kB to
about half.
"""

import itertools
import random

_ONSETS = ("b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "pl", "ch", "sh", "")
_VOWELS = ("a", "e", "i", "o", "u", "ea", "ou", "ai")
_CODAS = ("", "", "n", "r", "s", "t", "l", "ng", "nd", "ck")
_VOCABULARY = 20_000


class Writer:
    """Writes texts; the same seed writes the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # not for secrets
        self._words = [self._word(1 + rank // 500) for rank in range(_VOCABULARY)]
        self._weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(_VOCABULARY)))

    def _word(self, syllables: int) -> str:
        """Frequent words are short."""
        chosen = range(self._random.randint(1, min(3, syllables)))
        pick = self._random.choice
        return "".join(pick(_ONSETS) + pick(_VOWELS) + pick(_CODAS) for _ in chosen)

    def text(self, words: int) -> str:
        """Sentences of about 15 words, so many words in all."""
        chosen = self._random.choices(self._words, cum_weights=self._weights, k=words)
        sentences = []
        while chosen:
            length = min(len(chosen), self._random.randint(8, 22))
            sentences.append(" ".join(chosen[:length]).capitalize())
            chosen = chosen[length:]
        return ". ".join(sentences) + "."
