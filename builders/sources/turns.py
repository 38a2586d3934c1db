"""Where distractors stand in a dialogue: one flow of turns, each user turn on-topic, off-topic or unknown.

`conversation_with_distractors`, where a dialogue has it, is the flow; its user turns that are a distractor's
text are off-topic. A distractor that is not in it is placed after the bot turn it names. Both are looked for
to the letter first, then with rapidfuzz: upstream, bot turns are quoted with small changes, or only in part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rapidfuzz import fuzz, process

from safety_reasoning.builders.samples import Turn

MIN_RATIO = 90.0
"""Of 100: `fuzz.ratio` of two whole texts, or `fuzz.partial_ratio` of a bot turn quoted in part. Of 58 bot turns
of the real dialogues that match nothing to the letter, quotes score 86 to 100 and all other turns at most 60."""
MIN_QUOTE = 40
"""Characters of a partial quote; shorter ones ("You're welcome!") fit many turns."""
_MAX_QUOTED = 20_000
"""Characters of a turn that a partial quote is looked for in; the search is not linear in them."""

Mark = Literal["on-topic", "off-topic", "unknown", "bot"]


@dataclass(frozen=True, slots=True)
class Distractor:
    """An off-topic user turn and the assistant turn that it follows."""

    bot_turn: str
    text: str


@dataclass(frozen=True, slots=True)
class MarkedTurn:
    """A turn of the flow."""

    turn: Turn
    mark: Mark


@dataclass(frozen=True, slots=True)
class Flow:
    """A dialogue with its distractors in place."""

    turns: tuple[MarkedTurn, ...]
    unplaced: tuple[Distractor, ...]
    absent: tuple[Turn, ...] = ()
    """User turns of the conversation that its version with distractors lacks."""


def place(conversation: Sequence[Turn], with_distractors: Sequence[Turn], distractors: Sequence[Distractor]) -> Flow:
    """The flow of one dialogue. Either of the first two may be empty, where the source lacks it."""
    turns = _marked(conversation, with_distractors)
    unplaced = []
    for distractor in distractors:
        at = _own_turn(turns, distractor.text, bool(conversation)) if with_distractors else None
        if at is not None:
            turns[at] = replace(turns[at], mark="off-topic")
            continue
        after = _bot_turn(turns, distractor.bot_turn)
        if after is None:
            unplaced.append(distractor)
            continue
        while after + 1 < len(turns) and turns[after + 1].mark == "off-topic":
            after += 1
        turns.insert(after + 1, MarkedTurn(Turn("user", distractor.text), "off-topic"))
    there = {marked.turn for marked in turns}
    absent = (turn for turn in conversation if turn.role == "user" and turn not in there)
    return Flow(tuple(turns), tuple(unplaced), tuple(absent))


def _marked(conversation: Sequence[Turn], with_distractors: Sequence[Turn]) -> list[MarkedTurn]:
    """A turn that only the version with distractors has is unknown until a distractor claims it."""
    ordinary = set(conversation)
    trusted = not conversation or not with_distractors
    marked = []
    for turn in with_distractors or conversation:
        if turn.role != "user":
            marked.append(MarkedTurn(turn, "bot"))
        else:
            marked.append(MarkedTurn(turn, "on-topic" if trusted or turn in ordinary else "unknown"))
    return marked


def _own_turn(turns: Sequence[MarkedTurn], text: str, told_apart: bool) -> int | None:
    candidates = {i: t.turn.content for i, t in enumerate(turns) if t.mark == "unknown"}
    if not candidates and not told_apart:  # without a plain conversation any user turn may be the distractor
        candidates = {i: t.turn.content for i, t in enumerate(turns) if t.mark == "on-topic"}
        return next((i for i, content in candidates.items() if content == text), None)
    return _closest(candidates, text)


def _bot_turn(turns: Sequence[MarkedTurn], text: str) -> int | None:
    bots = {i: t.turn.content for i, t in enumerate(turns) if t.mark == "bot"}
    whole = _closest(bots, text)
    if whole is not None or not MIN_QUOTE <= len(text) <= _MAX_QUOTED:
        return whole
    short = {i: content for i, content in bots.items() if len(content) <= _MAX_QUOTED}
    found = process.extractOne(text, short, scorer=fuzz.partial_ratio, score_cutoff=MIN_RATIO)
    return None if found is None else found[2]


def _closest(candidates: dict[int, str], text: str) -> int | None:
    exact = next((i for i, content in candidates.items() if content == text), None)
    if exact is not None:
        return exact
    found = process.extractOne(text, candidates, scorer=fuzz.ratio, score_cutoff=MIN_RATIO)
    return None if found is None else found[2]
