"""What the judge says of the traces, and how far it agrees with the rules."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from safety_reasoning.builders.opinion import Opinion
from safety_reasoning.builders.recipe import JudgeRecipe, Recipe
from safety_reasoning.builders.tried import Tried
from safety_reasoning.filters.reasons import Drop
from safety_reasoning.pages.tables import STEP, TEACHER, Column, Row, Table, share
from safety_reasoning.review.agreement import cohen_kappa
from safety_reasoning.review.report_cases import Case, step_of
from safety_reasoning.review.report_yield import STEPS

_CLEAN, _FOUND = "nothing found", "fault found"


@dataclass(slots=True)
class Judged:
    """Counts of the judge's opinions."""

    modes: tuple[str, ...]
    """That the judge looks for."""
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By teacher, step and what came of it."""
    pairs: Counter[tuple[str, bool, bool]] = field(default_factory=Counter)
    """By failure mode, whether the judge found it, and whether the rules did."""

    def add(self, case: Case) -> None:
        """Count a sample."""
        for attempt in (attempt for chain in case.chains for attempt in chain.attempts):
            if attempt.sifted.opinion is not None:
                self._count(attempt, attempt.sifted.opinion)

    def _count(self, attempt: Tried, opinion: Opinion) -> None:
        if opinion.found is None:
            outcome = opinion.fault
        else:
            outcome = _FOUND if opinion.found else _CLEAN
            rules = set(attempt.sifted.drops)
            self.pairs.update((mode, mode in opinion.found, mode in rules) for mode in self.modes)
        self.outcomes[attempt.teacher, step_of(attempt), outcome] += 1


def judge_tables(counts: Judged, recipe: Recipe) -> tuple[Table, ...]:
    """What came of asking it, and it against the rules; () without a judge."""
    return () if recipe.judge is None else (_outcomes(counts), _against_rules(counts, recipe, recipe.judge))


def _outcomes(counts: Judged) -> Table:
    columns = (
        *(TEACHER, STEP, Column("outcome", "outcome", "code")),
        Column("traces", "traces", "count"),
        Column("share", "of those asked about", "share"),
    )
    asked: Counter[tuple[str, str]] = Counter()
    for (teacher, step, _), count in counts.outcomes.items():
        asked[teacher, step] += count
    rows = ((*key, count, share(count, asked[key[:2]])) for key, count in _in_order(counts))
    note = (
        "Any other outcome than those two is why the judge's last answer could not be read: such a trace is not"
        " released (not_judged)."
    )
    return Table(name="judge", title="What the judge says of the traces", columns=columns, rows=tuple(rows), note=note)


def _in_order(counts: Judged) -> list[tuple[tuple[str, str, str], int]]:
    return sorted(counts.outcomes.items(), key=lambda item: (item[0][0], STEPS.index(item[0][1]), item[0][2]))


def _against_rules(counts: Judged, recipe: Recipe, judge: JudgeRecipe) -> Table:
    columns = (
        *(Column("mode", "failure mode", "code"), Column("rule", "rule", "code")),
        Column("both", "both find it", "count"),
        Column("judge", "only the judge", "count"),
        Column("rules", "only the rule", "count"),
        Column("neither", "neither", "count"),
        Column("kappa", "Cohen's kappa", "ratio"),
    )
    note = (
        "Traces that the judge could judge, of both steps and all attempts. The judge was asked about every trace, so"
        " the counts are those of the teachers' traces as they come."
        if judge.ask == "all"
        else "Traces that the judge could judge. It was asked only about those that the rules keep (judge.ask ="
        ' "kept"), so these counts show what the judge adds and not how far the two agree: judge.ask = "all" does.'
    )
    rows = (_against(counts, mode, recipe) for mode in counts.modes)
    return Table(
        name="judge_against_rules",
        title="The judge against the rules",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _against(counts: Judged, mode: str, recipe: Recipe) -> Row:
    rule = "none" if mode not in frozenset(Drop) else "off" if mode in recipe.filters.off else "on"
    both, judge, rules, neither = _four(counts, mode)
    if rule != "on" or recipe.judge is None or recipe.judge.ask == "kept":
        return (mode, rule, both, judge, rules, neither, None)
    by_judge = [True] * (both + judge) + [False] * (rules + neither)
    by_rules = [True] * both + [False] * judge + [True] * rules + [False] * neither
    return (mode, rule, both, judge, rules, neither, cohen_kappa(by_judge, by_rules).value)


def _four(counts: Judged, mode: str) -> Iterator[int]:
    return (counts.pairs[mode, judge, rule] for judge in (True, False) for rule in (True, False))
