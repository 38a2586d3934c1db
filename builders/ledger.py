"""The ledger of a run: per teacher and step, what there is to do, what is done, and what it took. Only counting."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from safety_reasoning.builders.calls import Reply, Status, Step
from safety_reasoning.builders.store import Progressed


@dataclass(slots=True)
class Line:
    """One teacher and step, or several of them added up."""

    total: int = 0
    """Calls that the recipe needs, as far as is known: a chain can turn out shorter or longer."""
    before: int = 0
    """Of these, in the store when the run began."""
    replies: int = 0
    """That this run added."""
    in_flight: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Replies of this run that are no answer, by status."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None

    @property
    def done(self) -> int:
        """Calls whose reply is in the store."""
        return self.before + self.replies

    @property
    def left(self) -> int:
        """Calls without a reply."""
        return self.total - self.done

    def add(self, other: "Line") -> None:
        """Add the counts of another line."""
        self.total += other.total
        self.before += other.before
        self.replies += other.replies
        self.in_flight += other.in_flight
        self.failed.update(other.failed)
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        if other.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + other.cost_usd


@dataclass(slots=True)
class Ledger:
    """All lines of a run. Seconds are of the run's own clock: from its first call to its latest commit."""

    lines: dict[tuple[str, str], Line] = field(default_factory=dict)
    unfinished: Counter[str] = field(default_factory=Counter)
    """Calls that got no reply, by teacher and kind of failure; the next run asks again."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Teachers that were asked no further, and why."""
    started_at: float = field(default_factory=time.time)
    """Unix time."""
    first_s: float | None = None
    latest_s: float | None = None

    def line(self, teacher: str, step: str) -> Line:
        """The line of that teacher and step."""
        return self.lines.setdefault((teacher, step), Line())

    def restart(self, teacher: str) -> None:
        """Count a teacher's calls anew; replies of this run will be found among those that are there."""
        for (name, _), line in self.lines.items():
            if name == teacher:
                line.total, line.before, line.in_flight = 0, -line.replies, 0

    def plan(self, teacher: str, calls: Counter[Step]) -> None:
        """So many more calls of each step are needed."""
        for step, count in calls.items():
            self.line(teacher, step).total += count

    def drop(self, teacher: str, calls: Counter[Step]) -> None:
        """A chain ended without these calls."""
        for step, count in calls.items():
            self.line(teacher, step).total -= count

    def found(self, teacher: str, calls: Counter[Step]) -> None:
        """So many calls of each step have a reply that this run did not add."""
        for step, count in calls.items():
            self.line(teacher, step).before += count

    def answered(self, replies: Iterable[Reply]) -> None:
        """These replies are in the store now."""
        self.latest_s = time.monotonic()
        for reply in replies:
            line = self.line(reply.teacher, reply.step)
            line.replies += 1
            line.failed[reply.status] += reply.status is not Status.OK
            line.prompt_tokens += reply.prompt_tokens
            line.completion_tokens += reply.completion_tokens
            if reply.cost_usd is not None:
                line.cost_usd = (line.cost_usd or 0.0) + reply.cost_usd

    def asked(self) -> None:
        """A call is on its way; the first one starts the clock."""
        self.first_s = self.first_s or time.monotonic()

    @property
    def asking_s(self) -> float:
        """Seconds from the first call to the latest commit."""
        return self.latest_s - self.first_s if self.first_s and self.latest_s else 0.0

    def teachers(self) -> Mapping[str, Line]:
        """One line a teacher, its steps added up, sorted by name."""
        sums: dict[str, Line] = {}
        for (teacher, _), line in sorted(self.lines.items()):
            sums.setdefault(teacher, Line()).add(line)
        return sums

    def all(self) -> Line:
        """Everything added up."""
        total = Line()
        for line in self.lines.values():
            total.add(line)
        return total

    def progressed(self) -> list[Progressed]:
        """As the store keeps it, for whoever looks from outside."""
        now = time.time()
        return [
            Progressed(teacher, step, line.total, line.before, line.done, line.in_flight, self.started_at, now)
            for (teacher, step), line in self.lines.items()
        ]

    def summary(self) -> dict[str, object]:
        """The run as one JSON document."""
        everything = self.all()
        return {
            "total": everything.total,
            "before": everything.before,
            "replies": everything.replies,
            "left": everything.left,
            "asking_s": round(self.asking_s, 3),
            "cost_usd": everything.cost_usd,
            "unfinished": dict(sorted(self.unfinished.items())),
            "stopped": dict(sorted(self.stopped.items())),
            "lines": [_line_summary(*key, line) for key, line in sorted(self.lines.items())],
        }


def _line_summary(teacher: str, step: str, line: Line) -> dict[str, object]:
    return {
        "teacher": teacher,
        "step": step,
        "total": line.total,
        "before": line.before,
        "replies": line.replies,
        "left": line.left,
        "failed": {status: n for status, n in sorted(line.failed.items()) if n},
        "prompt_tokens": line.prompt_tokens,
        "completion_tokens": line.completion_tokens,
        "cost_usd": line.cost_usd,
    }
