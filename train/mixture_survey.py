"""The first look at a part: which rows can be used, whose traces on them, and how often each teacher is right."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from safety_reasoning.builders.left_out import BadRow
from safety_reasoning.builders.records import Record, TeacherTraces
from safety_reasoning.builders.samples import ContentSafetySample, Sample
from safety_reasoning.filters.apply import reasons
from safety_reasoning.train.decontaminate import Index, Match
from safety_reasoning.train.mixture_recipe import MixtureRecipe, TraceKind
from safety_reasoning.train.mixture_rows import Reader, unusable_sample
from safety_reasoning.train.mixture_unused import Unused, UnusedRow

_CLOSEST_FIRST = (Unused.TRACE_REFUSED, Unused.MISMATCH, Unused.NO_VERDICT, Unused.NO_TRACE)
"""Of several teachers who cannot be used, the one who came closest says why."""
_CONTAMINATED = {
    "exact": Unused.CONTAMINATED_EXACT,
    "normalised": Unused.CONTAMINATED_NORMALISED,
    "ngram": Unused.CONTAMINATED_NGRAM,
}


@dataclass(frozen=True, slots=True)
class Usable:
    """A row that can be used."""

    row: int
    """From 1, in its part."""
    teachers: tuple[str, ...]
    """Those whose trace on it can be used, sorted."""


@dataclass(slots=True)
class Survey:
    """What the rows of one part are good for."""

    usable: dict[str, Usable] = field(default_factory=dict)
    """By key."""
    unused: list[UnusedRow] = field(default_factory=list)
    traces: Counter[str] = field(default_factory=Counter)
    """Traces of the kind that is taught, by teacher, whether they can be used or not."""
    agreeing: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    too_short: set[str] = field(default_factory=set)
    """Keys whose text is too short for n-grams."""
    matches: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Contaminated rows by benchmark and kind."""

    @property
    def agreement(self) -> Mapping[str, tuple[int, int]]:
        """(agreeing, all) verdicts of every teacher who has a trace."""
        return {name: (self.agreeing[name], self.verdicts[name]) for name in sorted(self.traces)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyor:
    """Looks at the rows of one part."""

    part: int
    reader: Reader
    recipe: MixtureRecipe
    index: Index | None
    seen: set[str]
    """Keys of rows that can be used, of this part and those before."""
    survey: Survey

    def run(self) -> Survey:
        """What the rows are good for.

        Raises: UsageError if a file cannot be read to its end.
        """
        for number, found in self.reader.rows():
            if isinstance(found, BadRow):
                self._leave(number, "", found.reason, f"{found.field}: {found.detail}".removeprefix(": "))
                continue
            self._count(found)
            self._take(number, found)
        return self.survey

    def _leave(self, number: int, key: str, reason: str, detail: str) -> None:
        self.survey.unused.append(
            UnusedRow(task=self.reader.task, part=self.part, row=number, key=key, reason=str(reason), detail=detail)
        )

    def _count(self, record: Record) -> None:
        for name, traces in record.traces.items():
            self.survey.traces[name] += trace_of(traces, self.recipe.trace) is not None
            self.survey.verdicts[name] += traces.mismatch is not None
            self.survey.agreeing[name] += traces.mismatch is False

    def _take(self, number: int, record: Record) -> None:
        faults = {name: self._untrusted(record, name) for name in sorted(self.reader.teachers)}
        trusted = tuple(name for name, fault in faults.items() if fault is None)
        why: tuple[Unused, str] | None = None
        if record.key in self.seen:
            why = Unused.DUPLICATE, "the same interaction occurs earlier"
        elif (fault := unusable_sample(record.sample)) is not None:
            why = fault, ""
        elif faults and not trusted:
            why = min(((fault or Unused.NO_TRACE, name) for name, fault in faults.items()), key=_distance)
        else:
            why = self._contaminated(record)
        if why is None:
            self.seen.add(record.key)
            self.survey.usable[record.key] = Usable(number, trusted)
        else:
            self._leave(number, record.key, *why)

    def _untrusted(self, record: Record, teacher: str) -> Unused | None:
        traces = record.traces.get(teacher)
        return Unused.NO_TRACE if traces is None else untrusted(traces, self.recipe)

    def _contaminated(self, record: Record) -> tuple[Unused, str] | None:
        if self.index is None or self.recipe.decontaminate is None:
            return None
        verdicts = [self.index.judge(t) for t in compared(record.sample, responses=self.recipe.decontaminate.responses)]
        match = next((found for found in verdicts if isinstance(found, Match)), None)
        if match is not None:
            self.survey.matches[match.benchmark, match.kind] += 1
            return _CONTAMINATED[match.kind], f"{match.benchmark}, row {match.row}, share {match.share}"
        if "too_short" in verdicts:
            if self.recipe.decontaminate.too_short == "leave_out":
                return Unused.TOO_SHORT_TO_JUDGE, f"fewer than {self.index.n} words"
            self.survey.too_short.add(record.key)
        return None


def _distance(fault: tuple[Unused, str]) -> int:
    return _CLOSEST_FIRST.index(fault[0])


def compared(sample: Sample, *, responses: bool) -> list[str]:
    """The texts of a sample that are compared with benchmarks: what the user says, and the response if wanted."""
    if not isinstance(sample, ContentSafetySample):
        return [sample.message]
    return [sample.prompt, *([sample.response] if responses and sample.response else [])]


def trace_of(traces: TeacherTraces, kind: TraceKind) -> str | None:
    """The teacher's trace of that kind."""
    return traces.full if kind == "full" else traces.efficient


def untrusted(traces: TeacherTraces, recipe: MixtureRecipe) -> Unused | None:
    """Why nobody is trained on this teacher's trace; None if one can be.

    A trace is trusted if the teacher's verdict is known to agree with the gold label.
    """
    trace = trace_of(traces, recipe.trace)
    if trace is None:
        return Unused.NO_TRACE
    if traces.mismatch is not False and not recipe.keep_mismatched:
        return Unused.NO_VERDICT if traces.mismatch is None else Unused.MISMATCH
    return Unused.TRACE_REFUSED if reasons(trace) else None
