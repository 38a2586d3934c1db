"""A trace must come to its end."""

import re

from safety_reasoning.filters.cues import words_of
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.reading import reading
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.trace import Trace
from safety_reasoning.filters.verdict_line import verdict_line

_CLOSERS = "\"'»)]}>*_`~|"
_ENDS = frozenset(".!?\u3002\uff01\uff1f\u0964\u061f")
_OPEN = frozenset(",;:-/([{\\«&=+")
"""Characters that something follows."""
_ITEM = re.compile(r"\s*(?:[-*•]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)]|#{1,6})(?:\s|$)")
"""How an item of a list or a heading begins: such lines end without a full stop."""
_END_TOKEN = re.compile(r"(?:<[^\s<>]{1,40}>|\[/\w{1,20}\]|```)$")
"""What stops by a token or a closing tag was not cut off."""
_BARE_ITEM = re.compile(r"\s*(?:[-*•]+|\(?\d{1,3}[.)]|#{1,6})\s*")
_SHORT_LINE_WORDS = 6
_FEW_WORDS = 3
"""Words of a line that may be a heading or a last word on the matter."""
_LINE_CHARS = 400


def truncated(trace: Trace, limits: Limits) -> Drop | None:
    """TRUNCATED if the server says so, or the text ends in the middle of a sentence or a list.

    A full trace is prose: its last line without a full stop is unfinished if it is long, or if the lines of its kind
    have theirs. A shortened trace may lack its full stop. What ends in an end token or in a verdict was not cut, and a
    word or two have no end to miss.
    """
    if trace.finish_reason == "length":
        return Drop.TRUNCATED
    read = reading(trace.text)
    if len(read.words) < limits.min_words:
        return None
    line, before = read.lines[-1][-_LINE_CHARS:], "".join(read.lines[-2:-1])
    cut = _BARE_ITEM.fullmatch(line) or _is_open(line) or (trace.step == "full" and _lacks_stop(line, before))
    return Drop.TRUNCATED if cut and not _END_TOKEN.search(line) and not verdict_line(line) else None


def _is_open(line: str) -> bool:
    """Whether something must follow what the line ends in."""
    bare = line.rstrip(_CLOSERS)
    if not bare:
        return False
    if bare[-3:] == 3 * bare[-1]:
        return False  # a rule
    if bare[-1] in _OPEN:
        return len(bare) == len(line) or bare[-1] in ",;:"
    return len(bare) == len(line) and bare.split()[-1].strip("\"'(") in words_of("unfinished")


def _lacks_stop(line: str, before: str) -> bool:
    """Whether a line that ends in a word should have a full stop."""
    if not line[-1].isalnum():
        return False
    if len(line.split()) > _SHORT_LINE_WORDS and not _ITEM.match(line):
        return True
    previous = before[-_LINE_CHARS:].rstrip(_CLOSERS)
    alike = bool(_ITEM.match(line)) == bool(_ITEM.match(before)) and len(line.split()) >= _FEW_WORDS
    return alike and previous[-1:] in _ENDS
