"""Examples of what was dropped: a few traces for each reason, drawn by hash so that no order decides which."""

from bisect import insort
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from safety_reasoning.builders.opinion import NOT_JUDGED, mode_of
from safety_reasoning.builders.samples import Sample, TopicControlSample, digest
from safety_reasoning.builders.sift import Sifted
from safety_reasoning.builders.tried import Tried
from safety_reasoning.pages.text import Cut, cut
from safety_reasoning.review.report_cases import Case, step_of

PER_REASON = 5
_TRACE_CHARS = 1500
_SUBJECT_CHARS = 300
_WORDS_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One dropped trace."""

    teacher: str
    step: str
    attempt: int
    key: str
    """Of its reply in the store."""
    reasons: tuple[str, ...]
    """All of them."""
    subject: Cut
    """What it reasons about."""
    trace: Cut
    """'' where the reply has none."""
    answer: Cut
    """Beside the trace."""
    words: Cut
    """What the judge quotes for the reason, why it could not be read, or what the server said; '' for none."""


@dataclass(slots=True)
class Examples:
    """The few with the smallest hashes, by reason."""

    drawn: defaultdict[str, list[tuple[str, Example]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, case: Case) -> None:
        """Draw from a sample."""
        for attempt in (attempt for chain in case.chains for attempt in chain.attempts):
            for reason in dict.fromkeys(attempt.sifted.reasons):
                self._draw(reason, attempt, case.sample)

    def _draw(self, reason: str, attempt: Tried, sample: Sample) -> None:
        drawn = self.drawn[reason]
        rank = digest([reason, attempt.sifted.reply.key])
        if len(drawn) == PER_REASON and rank > drawn[-1][0]:
            return
        insort(drawn, (rank, _example(reason, attempt, sample)), key=lambda pair: pair[0])
        del drawn[PER_REASON:]

    def by_reason(self) -> Mapping[str, tuple[Example, ...]]:
        """Sorted by reason."""
        return {reason: tuple(example for _, example in drawn) for reason, drawn in sorted(self.drawn.items())}


def _example(reason: str, attempt: Tried, sample: Sample) -> Example:
    sifted = attempt.sifted
    return Example(
        teacher=attempt.teacher,
        step=step_of(attempt),
        attempt=sifted.reply.attempt,
        key=sifted.reply.key,
        reasons=sifted.reasons,
        subject=cut(_subject(sample), _SUBJECT_CHARS),
        trace=cut(_trace(sifted), _TRACE_CHARS),
        answer=cut(sifted.answer, _SUBJECT_CHARS),
        words=cut(_words(reason, sifted), _WORDS_CHARS),
    )


def _trace(sifted: Sifted) -> str:
    """The trace, or what there is of one in a reply that is no answer."""
    if sifted.trace is not None:
        return sifted.trace
    return sifted.reply.answer if sifted.reply.step.is_efficient else sifted.reply.reasoning or ""


def _subject(sample: Sample) -> str:
    if isinstance(sample, TopicControlSample):
        return sample.message
    return sample.prompt if sample.response is None else f"{sample.prompt}\n\n{sample.response}"


def _words(reason: str, sifted: Sifted) -> str:
    if reason in sifted.drops or sifted.opinion is None:
        return sifted.reply.error
    if reason == NOT_JUDGED:
        return f"{sifted.opinion.fault}: {sifted.opinion.reply.answer or sifted.opinion.reply.error}"
    return (sifted.opinion.found or {}).get(mode_of(reason), "")
