"""The filters of trace quality, and every reason that they give."""

from collections.abc import Callable

from safety_reasoning.filters.apply import reasons
from safety_reasoning.filters.broken_markup import broken_markup
from safety_reasoning.filters.contradicts_verdict import contradicts_verdict
from safety_reasoning.filters.control_characters import control_characters
from safety_reasoning.filters.label_leak import label_leak
from safety_reasoning.filters.limits import Limits
from safety_reasoning.filters.near_duplicate import near_duplicate
from safety_reasoning.filters.no_reasoning import no_reasoning
from safety_reasoning.filters.overthinking import overthinking
from safety_reasoning.filters.prompt_copied import prompt_copied
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.filters.repetition import repetition
from safety_reasoning.filters.teacher_refusal import teacher_refusal
from safety_reasoning.filters.template_echo import template_echo
from safety_reasoning.filters.too_long import too_long
from safety_reasoning.filters.trace import Trace
from safety_reasoning.filters.truncated import truncated
from safety_reasoning.filters.wrong_language import wrong_language

QualityFilter = Callable[[Trace, Limits], Drop | None]

FILTERS: tuple[QualityFilter, ...] = (
    no_reasoning,
    truncated,
    control_characters,
    broken_markup,
    teacher_refusal,
    wrong_language,
    template_echo,
    label_leak,
    prompt_copied,
    repetition,
    near_duplicate,
    overthinking,
    too_long,
    contradicts_verdict,
)
"""In the order in which their reasons are reported; each looks at the whole trace, whatever the others find."""


def quality(trace: Trace, limits: Limits) -> tuple[Drop, ...]:
    """Every reason not to release the trace: those of its structure first, then those of its quality; () for none."""
    on = (check for check in FILTERS if check.__name__ not in limits.off)  # each is named as its reason
    return (*reasons(trace.text), *(reason for check in on if (reason := check(trace, limits)) is not None))
