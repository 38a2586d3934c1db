"""Dialogues of CantTalkAboutThis as items: every user turn, on-topic or off-topic, with all that was said before it."""

from safety_reasoning.builders.left_out import BadRow
from safety_reasoning.builders.samples import TopicControlSample
from safety_reasoning.builders.sources import canttalk
from safety_reasoning.builders.sources.selection import Selection, select
from safety_reasoning.eval.benchmarks.declaration import Declaration, Preset
from safety_reasoning.eval.benchmarks.item import Item, Subject
from safety_reasoning.eval.benchmarks.rows import Taken
from safety_reasoning.eval.benchmarks.task import Unused


def take_dialogue(name: str, value: object, _declared: Declaration, preset: Preset) -> Taken:
    """The items of a dialogue under a preset."""
    try:
        samples, problems = canttalk.to_samples(_filled(value))
    except BadRow as bad:
        return Taken(left_out=(bad.reason,), bad=bad)
    taken, others = select(samples, preset.select or Selection())
    left_out = [*(problem.reason for problem in problems), *(Unused.NOT_SELECTED for _ in others)]
    return Taken(tuple(_item(name, sample) for sample in taken), tuple(left_out))


def _filled(value: object) -> object:
    """The row, each distractor with a bot turn.

    The human test set may lack it, and it is needed only where the distractor is not in the dialogue already.
    """
    distractors = value.get("distractors") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(distractors, list):
        return value
    filled = [{"bot turn": "", **each} if isinstance(each, dict) else each for each in distractors]
    return {**value, "distractors": filled}


def _item(name: str, sample: TopicControlSample) -> Item:
    return Item(
        task=name,
        subject=Subject.TURN,
        prompt=sample.message,
        policy=sample.system_instruction,
        history=sample.history,
        positive=sample.topic == "off-topic",
        domain=sample.domain or None,
    )
