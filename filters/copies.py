"""How much of a trace stands elsewhere, word by word."""

from collections.abc import Set

from safety_reasoning.filters.reading import GRAM, Gram, Reading


def copied_share(read: Reading, elsewhere: Set[Gram], least: int = GRAM) -> float:
    """Share of the text's words, in [0, 1], in sequences of at least so many words that `elsewhere` holds.

    What the text says twice counts once, so that saying one quotation again and again is no larger copy.
    """
    if read.gram_set.isdisjoint(elsewhere):
        return 0.0
    grams = dict.fromkeys(read.grams)
    marks = bytes(map(elsewhere.__contains__, grams))
    copied = words_in_runs(marks, least)
    return min(copied / (len(grams) + GRAM - 1), 1.0)


def words_in_runs(marks: bytes, words: int) -> int:
    """Words in runs of at least `words` words, given a 1 for every n-gram in a row that counts."""
    return sum(len(run) + GRAM - 1 for run in marks.split(b"\x00") if run and len(run) + GRAM > words)
