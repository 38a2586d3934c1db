"""Which user turns of a dialogue a release takes: how the published 8,712 were chosen is not known."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from safety_reasoning.builders.samples import TopicControlSample, digest


class Selection(BaseModel):
    """The selection rule of a topic-control source."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    rule: Literal["all", "caps", "balanced"] = "all"
    """all: every user turn. caps: at most `on_topic` and `off_topic` a dialogue. balanced: as many on-topic
    as off-topic turns a dialogue."""
    on_topic: int = Field(default=5, ge=0)
    """Under `caps`: on-topic turns a dialogue, at most."""
    off_topic: int = Field(default=5, ge=0)
    """Under `caps`: off-topic turns a dialogue, at most."""
    seed: int = 0
    """Which turns are taken where there are more than wanted."""


def select(
    samples: Sequence[TopicControlSample], rule: Selection
) -> tuple[list[TopicControlSample], list[TopicControlSample]]:
    """The samples of one dialogue that are taken and those that are not, both in the dialogue's order."""
    if rule.rule == "all":
        return list(samples), []
    by_topic = {topic: [s for s in samples if s.topic == topic] for topic in ("on-topic", "off-topic")}
    if rule.rule == "caps":
        limits = {"on-topic": rule.on_topic, "off-topic": rule.off_topic}
    else:
        limits = dict.fromkeys(by_topic, min(len(group) for group in by_topic.values()))
    taken = {
        sample.key
        for topic, group in by_topic.items()
        for sample in sorted(group, key=lambda s: digest([rule.seed, s.key]))[: limits[topic]]
    }
    return [s for s in samples if s.key in taken], [s for s in samples if s.key not in taken]
