"""Records: a sample beside what each teacher said of it, one wide row of the release."""

from collections.abc import Mapping
from dataclasses import dataclass

from safety_reasoning.builders.samples import ContentSafetySample, Sample, TopicControlSample


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTraces:
    """One teacher's contribution to a record."""

    full: str | None
    """The full reasoning trace, without <think> tags; None where none is released."""
    efficient: str | None
    """The shortened trace; never without a full one."""
    mismatch: bool | None
    """True: the verdict differs from the gold label or does not parse. None: the teacher gave no
    usable reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of the release."""

    sample: Sample
    traces: Mapping[str, TeacherTraces]

    @property
    def key(self) -> str:
        """The sample's key, unique in a release."""
        return self.sample.key


def input_columns(sample: Sample) -> dict[str, object]:
    """The columns of a record that come from its sample, in the card's order."""
    if isinstance(sample, ContentSafetySample):
        return {
            **sample.published,
            "prompt_harm_label": sample.prompt_harm,
            "response_harm_label": sample.response_harm,
        }
    return _topic_columns(sample)


def _topic_columns(sample: TopicControlSample) -> dict[str, object]:
    return {
        "system_instruction": sample.system_instruction,
        "conversation_history": [{"role": t.role, "content": t.content} for t in sample.history],
        "last_user_message": sample.message,
        "gt_topic_classification": sample.topic,
    }
