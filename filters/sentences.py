"""How many sentences a text has: shortened traces are asked for in budgets of 1 to 10.

sentencex counts more of 266 tricky texts rightly than 14 other libraries, is the fastest of them and is kept up
(benchmarks/sentences.py); it is one small wheel by Wikimedia, without a model or dependencies.
"""

import importlib
import re
from collections.abc import Callable, Iterator

_segment: Callable[[str, str], list[str]] = importlib.import_module("sentencex").segment  # compiled, without types

_WINDOW = 1000
"""Characters that sentencex gets at a time: it takes time quadratic in a text of unmatched quotation marks."""
_WORD = re.compile(r"\w")
_SURROGATES = re.compile("[\ud800-\udfff]")
_MARKERS = re.compile(r"(?:(?:[-*•+>–]|#{1,6}|\(?(?:\d{1,3}|[A-Za-z])[.)]|S\d{1,2}\.)\s++)++")
"""At the start of a line: bullets, numbers, letters, and a taxonomy code that heads its line."""
_HEADING = re.compile(r"#{1,6}\s.*|\*\*[^*]*[^*.!?]\*\*")
_REWRITES = (
    (re.compile(r"(?<!`)`++([^`]*)`++"), r"“\1”"),  # sentencex takes an apostrophe for the end of `code`
    (re.compile(r"[:;]-?\((?!\S)|<(?![A-Za-z/])"), " "),  # a smiley or "is less than" opens no bracket
    (re.compile(r"\.\.\.(?=\s+[^\W\d_a-z])"), "!"),
    (re.compile(r"(\([^()]*\))|(?<=\s)\d{1,2}\)(?=\s)"), r"\1"),  # 1) and 2) within a line
    (re.compile(r"(?<=[.:;,!?])\s(?:\(\d{1,2}\)|\d{1,2}\.)(?=\s)"), ""),  # a number of a list within a line
    (re.compile(r"(?<=\d)\.(?=\s+[a-z])"), ""),  # "rules 1. and 3. apply"
    (re.compile(r"\b(approx|excl|incl|max|min|resp|(?:art|ch|para|sec|vol)(?=\.\s\d))\.(?=\s)", re.I), r"\1"),
    (re.compile(r"\b((?i:art|bros|exp|fed|id|ill|llm|may|me|miss|no|ore))\.(?=\s+\W?[A-Z])"), r"\1!"),  # words, too
    (re.compile(r"(?<=[.!?])\s\(([^()]*[.!?])\)"), r" \1"),  # (A sentence of its own in brackets.)
)


def count_sentences(text: str) -> int:
    """Number of sentences, in time linear in the text's length.

    A list item and a line are a sentence each, even without a full stop. A heading, and a line that ends in a colon,
    belong to what follows them; a quotation belongs to the sentence around it. What has no letter or digit is no
    sentence. A sentence of more than 1,000 characters may count as several.
    """
    return sum(map(_count, blocks(text)))


def blocks(text: str) -> Iterator[str]:
    """What is counted apart: lines, joined where one goes on in the next, rewritten where sentencex would stumble."""
    block: list[str] = []
    goes_on = introduces = False
    for written in _SURROGATES.sub("\ufffd", text).splitlines():
        line = " ".join(written.split())  # sentencex panics at some white space of more than one byte
        if not line:
            goes_on = False
            continue
        marker = _MARKERS.match(line)
        bare = line[marker.end() :] if marker else line
        if block and not introduces and not (goes_on and marker is None and line[0].islower()):
            yield _rewritten(block)
            block = []
        heading = _HEADING.fullmatch(line) is not None
        block.append(f"{bare}:" if heading else bare)
        introduces = heading or bare.rstrip("*_ ").endswith(":")
        goes_on = bare[-1:] not in (".", "!", "?")
    yield _rewritten(block)


def _rewritten(block: list[str]) -> str:
    text = " ".join(block).replace("…", "...")
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    return text


def _window(block: str, start: int) -> str:
    """What is segmented at a time: where more follows, it ends in no open quotation, which would spoil all others."""
    window = block[start : start + _WINDOW]
    if start + _WINDOW >= len(block):
        return window
    if window.count('"') % 2:
        window = window[: window.rindex('"')]
    if window.rfind("“") > window.rfind("”"):
        window = window[: window.rindex("“")]
    return window or block[start : start + _WINDOW]


def _count(block: str) -> int:
    """Sentences of one block; each window begins where the last whole sentence of the one before ended."""
    count = start = 0
    while start < len(block):
        sentences = _segment("en", _window(block, start))
        if len(sentences) > 1 and start + _WINDOW < len(block):
            sentences.pop()
        count += sum(_WORD.search(sentence) is not None for sentence in sentences)
        start += sum(map(len, sentences)) or _WINDOW
    return count
