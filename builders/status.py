"""Status: how far a store has come, by teacher and step. Reads what triggers and runs keep up to date."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from safety_reasoning.builders.calls import Status
from safety_reasoning.builders.store import Progressed, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusLine:
    """One teacher and step of a store."""

    teacher: str
    step: str
    replies: int
    """In the store, for this recipe or another."""
    failed: dict[str, int]
    """Of these, those that are no answer, by status."""
    prompt_tokens: int
    completion_tokens: int
    mean_latency_s: float
    cost_usd: float | None
    total: int | None = None
    """Calls that the latest run's recipe needs; None where no run has said so."""
    done: int | None = None
    """Of these, with a reply."""
    in_flight: int = 0
    rate_per_s: float | None = None
    """Replies a second of the run that works now, or of the latest one."""
    eta_s: float | None = None
    """Until a run that works now is done at that rate."""


def status(tallies: Iterable[Tally], progress: Iterable[Progressed], *, running: bool) -> list[StatusLine]:
    """One line a teacher and step, sorted; `running`: a run holds the store, so its figures are live."""
    counted: dict[tuple[str, str], list[Tally]] = defaultdict(list)
    for tally in tallies:
        counted[tally.teacher, tally.step].append(tally)
    ran = {(line.teacher, line.step): line for line in progress}
    keys = sorted(counted.keys() | ran.keys())
    return [_line(*key, counted[key], ran.get(key), running=running) for key in keys]


def _line(
    teacher: str, step: str, tallies: Sequence[Tally], progress: Progressed | None, *, running: bool
) -> StatusLine:
    replies = sum(tally.replies for tally in tallies)
    costs = [tally.cost_usd for tally in tallies if tally.cost_usd is not None]
    rate = _rate(progress) if progress else None
    left = progress.total - progress.done if progress else 0
    return StatusLine(
        teacher=teacher,
        step=step,
        replies=replies,
        failed={tally.status: tally.replies for tally in tallies if tally.status != Status.OK},
        prompt_tokens=sum(tally.prompt_tokens for tally in tallies),
        completion_tokens=sum(tally.completion_tokens for tally in tallies),
        mean_latency_s=sum(tally.latency_s for tally in tallies) / replies if replies else 0.0,
        cost_usd=sum(costs) if costs else None,
        total=progress.total if progress else None,
        done=progress.done if progress else None,
        in_flight=progress.in_flight if progress and running else 0,
        rate_per_s=rate,
        eta_s=left / rate if running and rate else None,
    )


def _rate(progress: Progressed) -> float | None:
    passed = progress.updated_at - progress.started_at
    new = progress.done - progress.before
    return new / passed if new and passed > 0 else None
