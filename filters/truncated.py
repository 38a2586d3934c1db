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
_OPEN = frozenset(",;:-/([{\\«&=+→⇒")
"""Characters that something follows."""
_ITEM = re.compile(r"\s*(?:[-*•]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)]|#{1,6})(?:\s|$)")
"""How an item of a list or a heading begins: such lines end without a full stop."""
_END_TOKEN = re.compile(r"(?:<[^\s<>]{1,40}>|\[/\w{1,20}\]|```)$")
"""What stops by a token or a closing tag was not cut off."""
_BARE_ITEM = re.compile(r"\s*(?:[-*•]+|\(?\d{1,3}[.)]|#{1,6})\s*")
_HEADING = re.compile(r"\s*#{1,6}\s")
_ESCAPES = re.compile(r"(?:\\[nrt])+$")
"""Line breaks that were written as escapes: broken_markup's."""
_STRANDED = re.compile(
    r"\b(?:(?:nothing|anything|something|much|little|no one|nobody|reason|way) (?:that |which )?(?:[\w']+ ){0,3}to \w+"
    r"|what (?:\w+ ){1,3}(?:is|was|are|were|'s) (?:\w+ed|meant|there|made)"
    r"|(?:it|they|he|she|user|assistant)'s (?:\w+ed|meant|there|made)"
    r"|so|go(?:es|ing)?|carry|move|to (?:begin|start)|later|further) (?:about|for|with|on|of|to|at|from|in|against)$"
)
"""A preposition that may end a sentence: "nothing to worry about", "what it is meant for", "and so on"."""
_CUT_END = re.compile(r"(?:\w+n'|\b(?:e\.g\.|i\.e\.|cf\.|vs\.|such as))$")
"""A contraction that lacks its last letter, or an abbreviation that announces something."""
_END_CHARS = 12
_CUT_WORD = re.compile(r"[a-z]{3,}[aiuvjq]")
"""How hardly any English word ends."""
_NAME = re.compile(r"[\w-]+(?:[./@_]\w+)+|[a-z]?\d+")
"""Addresses, files, codes and numbers."""
_SHORT_LINE_WORDS = 6
_FEW_WORDS = 3
"""Words of a line that may be a heading or a last word on the matter."""
_LINE_CHARS = 400
_TAIL_CHARS = 80
_TAIL_WORDS = 10
_RULE_CHARS = 20


def truncated(trace: Trace, limits: Limits) -> Drop | None:
    """TRUNCATED if the server says so, or the text ends in the middle of a sentence or a list.

    A full trace is prose: its last line without a full stop is unfinished if it is long, or if the lines of its kind
    have theirs, unless it ends as conclusions do ("no category applies"). A shortened trace may lack its full stop.
    What ends in an end token or in a verdict was not cut, and a word or two have no end to miss.
    """
    if trace.finish_reason == "length":
        return Drop.TRUNCATED
    read = reading(trace.text)
    if len(read.words) < limits.min_words:
        return None
    whole, before = read.lines[-1], "".join(read.lines[-2:-1])
    line = _ESCAPES.sub("", whole[-_LINE_CHARS:])
    if not line or (line[-1] in _ENDS and not _BARE_ITEM.fullmatch(line) and not _CUT_END.search(line[-_END_CHARS:])):
        return None
    cut = (
        _BARE_ITEM.fullmatch(line)
        or _HEADING.match(whole)
        or _is_open(line)
        or _unbalanced(whole, line)
        or (trace.step == "full" and _lacks_stop(line, before))
    )
    return Drop.TRUNCATED if cut and not _END_TOKEN.search(line) and not verdict_line(line) else None


def _is_open(line: str) -> bool:
    """Whether something must follow what the line ends in."""
    if _CUT_END.search(line[-_END_CHARS:]):
        return True
    bare = line.rstrip(_CLOSERS)
    if not bare:
        return False
    if bare[-3:] == 3 * bare[-1] or not any(map(str.isalnum, bare[-_RULE_CHARS:])):
        return False  # a rule
    if bare[-1] in _OPEN:
        return len(bare) == len(line) or bare[-1] in ",;:"
    if len(bare) < len(line) or _STRANDED.search(bare[-_TAIL_CHARS:]):
        return False
    last = bare.split()[-1].strip("\"'(")
    return last in words_of("unfinished") or (_CUT_WORD.fullmatch(last) is not None and last not in words_of("endings"))


def _unbalanced(line: str, end: str) -> bool:
    """Whether a bracket, a quotation or bold print is opened and never closed."""
    if end[-1] in _ENDS or end[-1] in _CLOSERS:
        return False
    return line.count("(") > line.count(")") + line.count(":(") or line.count('"') % 2 == 1 or line.count("**") % 2 == 1


def _lacks_stop(line: str, before: str) -> bool:
    """Whether a line that ends in a word should have a full stop."""
    if not line[-1].isalnum():
        return False
    if _concludes(line) or _STRANDED.search(line[-_TAIL_CHARS:]):
        return False
    if len(line.split()) > _SHORT_LINE_WORDS and not _ITEM.match(line):
        return True
    previous = before[-_LINE_CHARS:].rstrip(_CLOSERS)
    alike = bool(_ITEM.match(line)) == bool(_ITEM.match(before)) and len(line.split()) >= _FEW_WORDS
    return alike and previous[-1:] in _ENDS


def _concludes(line: str) -> bool:
    """Whether the line ends as conclusions do, in words that nothing need follow."""
    words = line.split()[-_TAIL_WORDS:]
    if len(set(words)) < len(words) / 2:
        return False  # a loop
    last = words[-1].strip("\"'(*_")
    if last in words_of("closing_nouns"):
        return not words_of("denials").isdisjoint(words[-4:-1])
    stands_before_noun = words[-2:-1] and words[-2] in words_of("before_nouns")
    return (last in words_of("closing") and not stands_before_noun) or _NAME.fullmatch(last) is not None
