"""CantTalkAboutThis: dialogues with distractors, one sample a user turn, on-topic or off-topic.

Source: https://huggingface.co/datasets/nvidia/CantTalkAboutThis-Topic-Control-Dataset (CC-BY-4.0): one JSON
object a line, such as

    {"domain": "banking", "scenario": "1. …", "system_instruction": "…",
     "conversation": [{"role": "user", "content": "…"}, …],
     "distractors": [{"bot turn": "…", "distractor": "…"}, …],
     "conversation_with_distractors": [[{"role": "user", …}, {"role": "assistant", …}], …]}

`conversation_with_distractors` is a list of turn lists or a flat list; the human test set lacks some fields.
"""

from collections.abc import Iterator, Mapping

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.samples import Topic, TopicControlSample, Turn, topic_control_key
from safety_reasoning.builders.sources import fields
from safety_reasoning.builders.sources.turns import Distractor, Flow, place

FILES: Mapping[str, tuple[str, ...]] = {
    "train": ("canttalkaboutthis_topic_control_mixtral.jsonl",),
    "test": ("canttalkaboutthis_topic_control_human_test_set.jsonl",),
}
COLUMNS = (
    "domain",
    "scenario",
    "system_instruction",
    "conversation",
    "distractors",
    "conversation_with_distractors",
)


def to_samples(value: object) -> tuple[list[TopicControlSample], list[BadRow]]:
    """Every user turn of one dialogue as a sample, and what of it could not become one.

    Raises: BadRow if the dialogue as a whole cannot be used.
    """
    row = fields.as_row(value, ("system_instruction",))
    instruction = fields.text(row, "system_instruction")
    domain = fields.optional_text(row, "domain") or ""
    flow = place(_turns(row, "conversation"), _turns(row, "conversation_with_distractors"), _distractors(row))
    if all(marked.mark == "bot" for marked in flow.turns):
        raise BadRow(Reason.MISSING_FIELD, "conversation", "the dialogue has no user turn")
    return list(_samples(flow, instruction, domain)), list(_problems(flow))


def _samples(flow: Flow, instruction: str, domain: str) -> Iterator[TopicControlSample]:
    history: tuple[Turn, ...] = ()
    for marked in flow.turns:
        topic = _topic(marked.mark)
        if topic is not None:
            yield TopicControlSample(
                key=topic_control_key(instruction, history, marked.turn.content),
                system_instruction=instruction,
                history=history,
                message=marked.turn.content,
                topic=topic,
                domain=domain,
            )
        history = (*history, marked.turn)


def _topic(mark: str) -> Topic | None:
    if mark == "on-topic":
        return "on-topic"
    return "off-topic" if mark == "off-topic" else None


def _problems(flow: Flow) -> Iterator[BadRow]:
    for number, marked in enumerate(flow.turns, start=1):
        if marked.mark == "unknown":
            detail = f"turn {number} is neither in the conversation nor a distractor"
            yield BadRow(Reason.UNLABELLED_TURN, "conversation_with_distractors", detail)
    for _ in flow.absent:
        yield BadRow(Reason.TURN_ABSENT, "conversation_with_distractors", "it lacks a user turn of the conversation")
    for _ in flow.unplaced:
        yield BadRow(Reason.DISTRACTOR_UNPLACED, "distractors", "its bot turn is not in the dialogue")


def _turns(row: fields.Row, name: str) -> list[Turn]:
    if fields.is_null(row.get(name)):
        return []
    turns = []
    for item in fields.items(row, name):
        turns += [_turn(part, name) for part in (item if isinstance(item, list) else [item])]
    return turns


def _turn(value: object, name: str) -> Turn:
    try:
        turn = fields.as_row(value, ("role", "content"))
        return Turn(fields.choice(turn, "role", ("user", "assistant", "system")), fields.text(turn, "content"))
    except BadRow as bad:
        raise BadRow(bad.reason, f"{name}.{bad.field}".rstrip("."), bad.detail) from None


def _distractors(row: fields.Row) -> list[Distractor]:
    if fields.is_null(row.get("distractors")):
        return []
    found = []
    for item in fields.items(row, "distractors"):
        pair = fields.as_row(item, ("bot turn", "distractor"))
        found.append(Distractor(fields.text(pair, "bot turn"), fields.text(pair, "distractor")))
    return found
