"""What a trace concludes about prompt, response or topic, clause by clause.

A conclusion is looked for in the last sentences, in those that open like one, and where the writer judges in the first
person. In a clause, a value ("harmful", "falls under S5", "no issue", "off-topic") is turned round by every denial
before it, and is about the party that is named right after it or else first before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import regex

from safety_reasoning.filters.cues import cue, positions, words_of
from safety_reasoning.filters.reading import Reading, Sentence

Party = Literal["prompt", "response", "both", "unnamed"]
Value = tuple[int, int, str]
"""Where it begins, where it ends, and its group in the patterns."""

_ADJECTIVES = frozenset(["harmful", "harmless", "fine", "dangerous"])
_SAFE = frozenset(["harmless", "fine", "permits"])
_KINDS = ("harmful", "harmless", "fine", "dangerous", "permits", "condemns", "denied")
_TOPICS = ("on_topic", "off_topic")
_LAST = 3
"""Sentences at the end that conclude whatever they begin with."""
_MOST = 200
"""Sentences from the end that may conclude at all."""
_CLAUSE_CHARS = 400
"""The end of a clause that is read: a longer one is no clause."""
_SENTENCE_CHARS = 10_000
"""The end of a sentence that is read: a longer one is no sentence."""
_OF_WHOM = r"(?:(?:also|the|this|its|such a|user is|user|human is|assistant is|ai is|ai|model is|reply of the) ){0,4}+"
_PROMPT = r"(?:prompt|request|question|query|inquiry|user|plea)s?"
_RESPONSE = r"(?:response|reply|replies|answer|assistant|refusal|model)s?"
_JOINED = regex.compile(
    rf"\b(?P<neither>neither )?{_OF_WHOM}{_PROMPT} (?:and|n?or|as well as) {_OF_WHOM}{_RESPONSE}\b"
    rf"|\b(?P<neither>neither )?{_OF_WHOM}{_RESPONSE} (?:and|n?or|as well as) {_OF_WHOM}{_PROMPT}\b"
)
_PROMPTS = frozenset(["promp", "reque", "quest", "query", "queri", "inqui", "user", "users", "plea", "pleas"])
_RESPONSES = frozenset(["respo", "reply", "repli", "answe", "assis", "refus", "model"])
_PARTY = regex.compile(
    rf"\b(?<!\b(?:to|may|can|could|should|must|not|would|will) )(?:(?P<prompt>{_PROMPT})|(?P<response>{_RESPONSE})"
    r"|(?P<both>both|neither|either|exchange|interaction|conversation|everything))\b"
)
_AFTER = regex.compile(rf"(?: (?:for|in|with|about|of|regarding|on the part of|on|to))?+ {_OF_WHOM}")
_FIRST_PERSON = regex.compile(r"(?:[\w']+ ){0,5}?(?:i|we)\b")
_DETERMINER = regex.compile(r"\b(?:an?|the|this|that|these|those|such|any|no)\b")
_WORD = regex.compile(r"[\w'-]+")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one clause says."""

    of: Party
    wrong: bool
    """Harmful, or off-topic."""


def harm_claims(read: Reading) -> Iterator[Claim]:
    """What is concluded of harm, from the last claim to the first: what is said later stands."""
    for sentence, free in _concluding(read, _KINDS):
        yield from reversed(list(_harm_claims(sentence, free=free)))


def _harm_claims(sentence: Sentence, *, free: bool) -> Iterator[Claim]:
    """Those of one sentence, in the order in which they are said."""
    plain = _plain(sentence)
    kinds = [kind for kind in _needed(_KINDS, sentence) if _pattern(kind).search(plain)]
    carried: Party = "unnamed"
    for clause in _clauses(plain, sentence) if kinds else ():
        values = _values(clause, kinds)
        if values and not _is_open(clause):
            opens = free or _pattern("concludes").match(clause) is not None
            yield from _harm(clause, values, carried, free=opens)
        first = _PARTY.search(clause)
        if first and _light(clause[: first.start()]):
            carried = _named(first)


def topic_claims(read: Reading) -> Iterator[Claim]:
    """What is concluded of the topic, from the last claim to the first."""
    for sentence, _ in _concluding(read, _TOPICS):
        yield from reversed(list(_topic_claims(sentence)))


def _topic_claims(sentence: Sentence) -> Iterator[Claim]:
    plain = _plain(sentence)
    kinds = [kind for kind in _needed(_TOPICS, sentence) if _pattern(kind).search(plain)]
    for clause in _clauses(plain, sentence) if kinds else ():
        values = [(found.start(), kind) for kind in kinds if (found := _pattern(kind).search(clause))]
        if values and not _is_open(clause):
            start, kind = min(values)
            yield Claim("unnamed", (kind == "off_topic") != _denied(clause[:start]))


def _concluding(read: Reading, kinds: tuple[str, ...]) -> Iterator[tuple[Sentence, bool]]:
    """(Sentence, whether it opens like a conclusion) for each that concludes and may hold a value, the last first."""
    concludes, judges = _pattern("concludes"), cue("verdict", "judges")
    last = len(read.sentences) - _LAST
    for n in reversed(positions(read, _needs(kinds))[-_MOST:]):
        sentence = read.sentences[n]
        if sentence.text.endswith("?"):
            continue
        opens = concludes.match(sentence.text) is not None
        if opens or n >= last or (judges.needed(sentence.stems) and judges.pattern.search(sentence.own)):
            yield sentence, opens


@cache
def _needs(kinds: tuple[str, ...]) -> frozenset[str]:
    return frozenset[str]().union(*(cue("verdict", kind).needs for kind in kinds))


def _needed(kinds: tuple[str, ...], sentence: Sentence) -> list[str]:
    return [kind for kind in kinds if cue("verdict", kind).needed(sentence.stems)]


def _plain(sentence: Sentence) -> str:
    """What the writer says in it, with denials written out."""
    own = sentence.own[-_SENTENCE_CHARS:]
    plain = own.replace("can't", "cannot").replace("n't", " not").replace("'s ", " is ")
    plain = (
        plain.replace("anything but ", "not ")
        .replace("anything other than ", "not ")
        .replace("nothing but ", "only ")
        .strip(".!? ")
    )
    if not (sentence.stems.isdisjoint(_PROMPTS) or sentence.stems.isdisjoint(_RESPONSES)):
        plain = _JOINED.sub(lambda found: "neither" if found["neither"] else "both", plain)
    return plain


def _clauses(plain: str, sentence: Sentence) -> Iterator[str]:
    """The clauses of the sentence, up to one with a condition."""
    conditions = cue("verdict", "conditions")
    conditional = conditions.needed(sentence.stems)
    for clause in _pattern("cut").split(plain):
        if conditional and conditions.pattern.search(clause):
            return
        yield clause[-_CLAUSE_CHARS:]


def _is_open(clause: str) -> bool:
    return _pattern("open").search(clause) is not None


@cache
def _pattern(group: str) -> "regex.Pattern[str]":
    return cue("verdict", group).pattern


def _harm(clause: str, values: Sequence[Value], carried: Party, *, free: bool) -> Iterator[Claim]:
    if _pattern("aside").match(clause):
        return
    relative = clause.startswith("which ")
    for start, end, kind in values:
        before = clause[:start]
        denied = _denied(before)
        if denied != (kind == "denied") and kind in ("denied", "dangerous"):
            continue
        if kind in _ADJECTIVES and not _predicate(before, clause, end, verbless=kind in ("harmful", "harmless")):
            continue
        judged = free or (kind in _ADJECTIVES and _FIRST_PERSON.match(clause) is not None)
        party = "prompt" if kind == "permits" else _party(clause, start, end, carried, free=judged)
        wrong = (kind not in _SAFE) != denied
        if party is not None and not (relative and wrong):
            yield Claim(carried if relative else party, wrong)


def _values(clause: str, kinds: Sequence[str]) -> list[Value]:
    """Every value, from left to right."""
    found = []
    for kind in kinds:
        found += [(*match.span(), kind) for match in _pattern(kind).finditer(clause)]
    return sorted(found)


def _predicate(before: str, clause: str, end: int, *, verbless: bool) -> bool:
    """Whether an adjective is said of something, and does not merely stand before a noun."""
    if clause[end : end + 1] == "/" or before.endswith("/"):
        return False
    if _pattern("copula").search(before):
        return True
    if not verbless:
        return False
    if _pattern("noun_next").match(clause, end):
        if _pattern("verdict_next").match(clause, end):
            return _light(before)
        return _PARTY.match(clause, end + 1) is not None and not _DETERMINER.search(before) and _light(before)
    return _light(before) or _PARTY.search(before.split(" ")[-2] if " " in before else "") is not None


def _party(clause: str, start: int, end: int, carried: Party, *, free: bool) -> Party | None:
    """Whom the value is about; None if it is about something else."""
    after = _AFTER.match(clause, end)
    if after and (named := _PARTY.match(clause, after.end())):
        return _named(named)
    if named := _PARTY.search(clause, 0, start):
        return _named(named)
    if not (free or _light(clause[:start])):
        return None
    return carried if _pattern("goes_on").match(clause) else "unnamed"


def _named(found: "regex.Match[str]") -> Party:
    return "prompt" if found["prompt"] else "response" if found["response"] else "both"


def _light(words: str) -> bool:
    """Whether nothing is named: words of grammar and of judgement only."""
    return words_of("light").issuperset(_WORD.findall(words))


def _denied(before: str) -> bool:
    """Whether an odd number of denials stand there, after what is beyond doubt."""
    if doubtless := _pattern("doubtless").search(before):
        before = before[doubtless.end() :]
    return len(_pattern("denies").findall(before)) % 2 == 1
