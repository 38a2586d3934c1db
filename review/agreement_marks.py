"""Agreement on the marks: of the reviewers with each other, and of the filters and the judge with them.

A trace counts as showing a mode if more than half of its reviewers marked it. Where exactly half did, it is left out of
that mode's figures and counted as a tie. Precision and recall come twice: over the traces that were read, and weighted
by the sample's design, each trace of a stratum standing for its size divided by how many of it were read. The first
says how far a filter can be trusted on traces like these, the second estimates the same of everything in the strata
that were read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.store import Store
from safety_reasoning.builders.tried import Tried, tried
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.review.agreement import Against, Alpha, Kappa, against, cohen_kappa, krippendorff_alpha
from safety_reasoning.review.marks import KEYS, Findings, Mark, mode_marked, standing
from safety_reasoning.review.marks_store import read_marks

ANY = "any"
"""In place of a mode: whether anything at all is wrong."""
Finder = Literal["filter", "judge"]
FINDERS: tuple[Finder, ...] = ("filter", "judge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A trace that somebody marked."""

    key: str
    marks: tuple[Mark, ...]
    """Those that count, one a reviewer, sorted by name."""
    attempt: Tried | None
    """What the filters and the judge say of it now; None where the recipe does not come to it any more."""

    @property
    def latest(self) -> Mark:
        """The mark that was made last."""
        return max(self.marks, key=lambda mark: mark.marked_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """How far reviewers agree on one mode."""

    mode: str
    alpha: Alpha
    """Over all reviewers."""
    kappas: Mapping[tuple[str, str], Kappa]
    """Of every two that marked a trace in common, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One filter, or the judge on one mode, against what people marked."""

    finder: Finder
    mode: str
    read: Against
    """Over the traces that were read."""
    weighted: Against
    """Over all traces of their strata, as estimated."""
    ties: int
    """Traces on which the reviewers are divided; in neither of the two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Everything that the marks of a store say."""

    traces: int
    """With a mark that counts."""
    reviewers: Mapping[str, int]
    """Traces that each has marked."""
    seen: int
    """Marks that were made with the findings in sight."""
    unreached: int
    """Marked traces that the recipe does not come to any more: of them, only the reviewers' agreement is known."""
    between: tuple[Between, ...]
    scores: tuple[Score, ...]


def agreement(recipe: Recipe, samples: Iterable[Sample], store: Store) -> Agreement:
    """What the marks in the recipe's store say of the reviewers, the filters and the judge.

    Raises: UsageError naming the [review] extra if it is not installed and two reviewers have marked a trace.
    """
    traces = marked(recipe, samples, store)
    marks = [mark for trace in traces for mark in trace.marks]
    return Agreement(
        traces=len(traces),
        reviewers=dict(sorted(Counter(mark.reviewer for mark in marks).items())),
        seen=sum(mark.findings is Findings.SEEN for mark in marks),
        unreached=sum(trace.attempt is None for trace in traces),
        between=tuple(_between(traces)),
        scores=tuple(_scores(traces, recipe)),
    )


def human_precision(recipe: Recipe, samples: Iterable[Sample], store: Store) -> tuple[Score, ...]:
    """Every filter and every mode of the judge against the marks; () where there are none."""
    return tuple(_scores(marked(recipe, samples, store), recipe))


def marked(recipe: Recipe, samples: Iterable[Sample], store: Store) -> list[Marked]:
    """Every trace that somebody marked, sorted by key. Only the chains of these traces are followed."""
    by_key: dict[str, list[Mark]] = defaultdict(list)
    for mark in standing(read_marks(Path(recipe.release.store))):
        by_key[mark.key].append(mark)
    wanted = {marks[0].sample_key for marks in by_key.values()}
    its = (sample for sample in samples if sample.key in wanted)
    attempts = {attempt.sifted.reply.key: attempt for attempt in tried(recipe, its, store)} if by_key else {}
    return [Marked(key=key, marks=tuple(by_key[key]), attempt=attempts.get(key)) for key in sorted(by_key)]


def _between(traces: Sequence[Marked]) -> Iterator[Between]:
    labels = [{mark.reviewer: mark.modes or () for mark in trace.marks} for trace in traces]
    names = sorted({name for trace in labels for name in trace})
    together = [(a, b) for a, b in combinations(names, 2) if any(a in trace and b in trace for trace in labels)]
    if not together:
        return
    said = {mode for trace in labels for modes in trace.values() for mode in modes}
    for mode in (ANY, *(mode for mode in KEYS if mode in said)):
        rows = {name: [_says(trace.get(name), mode) for trace in labels] for name in names}
        yield Between(
            mode=mode,
            alpha=krippendorff_alpha(list(rows.values())),
            kappas={(a, b): cohen_kappa(*_both(rows[a], rows[b])) for a, b in together},
        )


def _says(modes: tuple[str, ...] | None, mode: str) -> bool | None:
    """Whether a reviewer marked the mode; None where there is no mark."""
    if modes is None:
        return None
    return bool(modes) if mode == ANY else mode in modes


def _both(first: Sequence[bool | None], second: Sequence[bool | None]) -> tuple[list[bool], list[bool]]:
    """The labels of the items that both have labelled."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _scores(traces: Sequence[Marked], recipe: Recipe) -> Iterator[Score]:
    reached = [(trace, trace.attempt) for trace in traces if trace.attempt is not None]
    weights = _weights([trace for trace, _ in reached])
    for finder in FINDERS:
        found = {trace.key: found_by(finder, attempt) for trace, attempt in reached}
        asked = [trace for trace, attempt in reached if finder == "filter" or attempt.sifted.opinion is not None]
        for mode in _modes(asked, found, _knows(finder, recipe)):
            yield _score(finder, mode, asked, found, weights)


def _knows(finder: Finder, recipe: Recipe) -> frozenset[str]:
    """The modes that the recipe's filters, or its judge, look for."""
    if finder == "filter":
        return frozenset(mode_marked(reason) for reason in Drop if reason not in recipe.filters.off)
    return frozenset(recipe.judge.rubric if recipe.judge else ())


def found_by(finder: Finder, attempt: Tried) -> frozenset[str] | None:
    """The modes that the filters or the judge find in a trace; None where the judge could not judge, or was not asked.

    Two reasons that a reader does not tell apart are one mode (marks.mode_marked).
    """
    if finder == "filter":
        return frozenset(mode_marked(reason) for reason in attempt.sifted.drops)
    opinion = attempt.sifted.opinion
    return None if opinion is None or opinion.found is None else frozenset(map(mode_marked, opinion.found))


def _modes(traces: Sequence[Marked], found: Mapping[str, frozenset[str] | None], known: frozenset[str]) -> list[str]:
    """ANY, then those of the known modes that were found or marked in the traces, in the order of the page."""
    said = {mode for trace in traces for mark in trace.marks for mode in mark.modes or ()}
    said |= {mode for trace in traces for mode in found[trace.key] or ()}
    return [ANY, *(mode for mode in KEYS if mode in said & known)] if traces else []


def _score(
    finder: Finder,
    mode: str,
    traces: Sequence[Marked],
    found: Mapping[str, frozenset[str] | None],
    weights: Mapping[str, float],
) -> Score:
    votes = {trace.key: vote(trace.marks, mode) for trace in traces}
    decided = [key for key, marked in votes.items() if marked is not None]
    guesses = [None if (modes := found[key]) is None else _says(tuple(modes), mode) for key in decided]
    marks = [bool(votes[key]) for key in decided]
    return Score(
        finder=finder,
        mode=mode,
        read=against(guesses, marks),
        weighted=against(guesses, marks, [weights[key] for key in decided]),
        ties=len(votes) - len(decided),
    )


def vote(marks: Sequence[Mark], mode: str) -> bool | None:
    """Whether more than half of a trace's reviewers marked the mode; None if exactly half did."""
    yes = sum(bool(_says(mark.modes, mode)) for mark in marks)
    return None if 2 * yes == len(marks) else 2 * yes > len(marks)


def _weights(traces: Sequence[Marked]) -> dict[str, float]:
    """How many traces each one stands for: its stratum's size, shared by those of the stratum that were read."""
    latest = sorted((trace.latest for trace in traces), key=lambda mark: mark.marked_at)
    read = Counter(mark.stratum for mark in latest)
    sizes = {mark.stratum: mark.size for mark in latest}  # of a stratum that grew between two reviews, the last size
    return {mark.key: sizes[mark.stratum] / read[mark.stratum] for mark in latest}
