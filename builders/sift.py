"""Sift: the trace in a reply, what the filters and the judge say of it, and which of several is released. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from safety_reasoning.builders.calls import Reply, Status
from safety_reasoning.builders.opinion import Opinion
from safety_reasoning.builders.prompts import load_prompt
from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.samples import ContentSafetySample, Sample
from safety_reasoning.builders.verdicts import mismatch, strip_think
from safety_reasoning.filters.quality import quality
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.sentences import count_sentences
from safety_reasoning.filters.trace import Trace, TraceStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """A reply, the trace in it, and why that is not released."""

    reply: Reply
    trace: str | None
    """Without the tags around it; None where the reply has none."""
    answer: str = ""
    """The answer that the trace stands beside: the reply's own, or the full trace's where this one shortens it."""
    drops: tuple[str, ...]
    """Reasons of the filters (`Drop`), or the reply's status; () for a trace that the rules keep."""
    opinion: Opinion | None = None
    """The judge's; None where it was not asked."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every reason not to release the trace, the rules' first; () for one that is released."""
        return self.drops if self.opinion is None else (*self.drops, *self.opinion.reasons)


def best(sample: Sample, fulls: Sequence[Sifted]) -> Sifted:
    """The trace to release: the first that is kept and agrees with the label, else the first kept, else the first.

    The order is that of the sample index, so it does not depend on which reply came first.
    """
    if len(fulls) == 1:
        return fulls[0]
    kept = [full for full in fulls if not full.reasons]
    agreeing = (full for full in kept if mismatch(sample, full.reply.answer) is False)
    return next(agreeing, kept[0] if kept else fulls[0])


def full_trace(reply: Reply) -> str | None:
    """The full trace of a reply: its reasoning; None where it has none or is no answer."""
    if reply.status is not Status.OK or reply.reasoning is None:
        return None
    return strip_think(reply.reasoning)


def efficient_trace(reply: Reply) -> str | None:
    """The efficient trace of a reply: the whole of its answer on one line; None where it is no answer."""
    return strip_think(" ".join(reply.answer.split())) if reply.status is Status.OK else None


def sift_full(sample: Sample, reply: Reply, recipe: Recipe) -> Sifted:
    """The full trace of a reply under the recipe's filters."""
    text = full_trace(reply)
    if text is None:
        return Sifted(reply=reply, trace=None, answer=reply.answer, drops=(reply.status,))
    return _sifted(sample, reply, recipe, _Read(text, reply.answer, "full", full_prompt(sample)))


def sift_efficient(sample: Sample, reply: Reply, full: Reply, recipe: Recipe) -> Sifted:
    """The efficient trace of a reply under the recipe's filters and its budget."""
    text = efficient_trace(reply)
    if text is None:
        return Sifted(reply=reply, trace=None, answer=full.answer, drops=(reply.status,))
    sifted = _sifted(sample, reply, recipe, _Read(text, full.answer, "efficient", "efficient"))
    return replace(sifted, drops=(*sifted.drops, *_over_budget(text, recipe)))


class _Read(NamedTuple):
    """A trace as it is read: its text, the answer that it stands beside, its step and the prompt that asked for it."""

    text: str
    answer: str
    step: TraceStep
    prompt: str


def _sifted(sample: Sample, reply: Reply, recipe: Recipe, read: _Read) -> Sifted:
    trace = Trace(
        text=read.text,
        answer=read.answer,
        task=sample.task,
        step=read.step,
        finish_reason=reply.finish_reason,
        inputs=inputs(sample),
        template=load_prompt(read.prompt).fixed,
        sentences=recipe.release.sentences,
    )
    return Sifted(reply=reply, trace=read.text, answer=read.answer, drops=quality(trace, recipe.filters))


def _over_budget(trace: str, recipe: Recipe) -> tuple[Drop, ...]:
    if Drop.OVER_BUDGET in recipe.filters.off or count_sentences(trace) <= recipe.release.sentences:
        return ()
    return (Drop.OVER_BUDGET,)


def inputs(sample: Sample) -> tuple[str, ...]:
    """What a teacher reads of a sample."""
    if isinstance(sample, ContentSafetySample):
        return (sample.prompt, sample.response or "")
    return (sample.system_instruction, *(turn.content for turn in sample.history), sample.message)


def full_prompt(sample: Sample) -> str:
    """The name of the prompt that asks for the sample's full trace."""
    return f"generate_{sample.taxonomy}" if isinstance(sample, ContentSafetySample) else "generate_topic"
