"""What a filter of quality reads: a trace and what stood around it."""

from dataclasses import dataclass
from typing import Literal

from safety_reasoning.schemas.columns import Task

TraceStep = Literal["full", "efficient"]
"""full: the reasoning beside a verdict. efficient: the same, shortened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One teacher's reasoning on one sample."""

    text: str
    """The reasoning, without the tags around it."""
    answer: str
    """The answer that was given with it, as the verdicts' parser reads it; '' if there is none."""
    task: Task
    step: TraceStep
    sentences: int = 1
    """Sentences that an efficient trace was to have; of no account for a full one."""
    finish_reason: str = ""
    """Why the teacher stopped, in the protocol's words; '' if that is not known."""
    inputs: tuple[str, ...]
    """What the teacher read of the sample: prompt and response, or system instruction and turns."""
    template: str
    """The fixed text of the prompt that asked for the trace; '' if that is not known."""
