"""The sections of a report: its tables, and the sentences that say what they are about. Pure."""

from dataclasses import dataclass

from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.pages.tables import Table
from safety_reasoning.review.agreement_marks import Agreement
from safety_reasoning.review.report_counts import Counts
from safety_reasoning.review.tables_agreement import agreement_tables
from safety_reasoning.review.tables_budgets import Budgets, budget_tables
from safety_reasoning.review.tables_judge import judge_tables
from safety_reasoning.review.tables_lengths import lengths
from safety_reasoning.review.tables_marks import mark_tables
from safety_reasoning.review.tables_mismatch import mismatch_tables
from safety_reasoning.review.tables_yield import after_reason, by_attempt, dropped, dropped_in_full, progress, summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a report."""

    name: str
    """Its anchor."""
    title: str
    text: str
    """What the tables are about, in a sentence or two; '' where they say it."""
    tables: tuple[Table, ...]


def sections(recipe: Recipe, counts: Counts, budgets: Budgets, marks: Agreement) -> tuple[Section, ...]:
    """All of them, in the order of the page."""
    return (
        _store(counts),
        _dropped(recipe, counts),
        Section(name="lengths", title="Length", text="", tables=(lengths(counts.lengths),)),
        _mismatch(recipe, counts),
        _agreement(counts),
        _budgets(budgets),
        _judge(recipe, counts),
        _marks(marks),
    )


def _store(counts: Counts) -> Section:
    tables = (progress(counts.yielded), summary(counts.yielded))
    return Section(name="store", title="What the store holds", text="", tables=tables)


def _dropped(recipe: Recipe, counts: Counts) -> Section:
    attempts = recipe.regenerate.attempts
    off = ", ".join(sorted(recipe.filters.off))
    text = f"Times that a dropped trace is asked for again: up to {attempts}. Filters that are off: {off or 'none'}."
    found = counts.yielded
    tables = (dropped(found), dropped_in_full(found, attempts), by_attempt(found), after_reason(found))
    return Section(name="dropped", title="Kept and dropped", text=text, tables=tables)


def _mismatch(recipe: Recipe, counts: Counts) -> Section:
    return Section(
        name="mismatch",
        title="Mismatch with the labels",
        text=_VERDICTS[recipe.release.verdict],
        tables=mismatch_tables(counts.mismatches),
    )


_VERDICTS = {
    "with_trace": "The verdict is the one beside the full trace, by a teacher that was told the label: to agree with it"
    " is a check of the trace and no measure of the teacher.",
    "blind": "The verdict is that of a call of its own, which does not tell the teacher the label.",
}


def _agreement(counts: Counts) -> Section:
    several = len(counts.agreements.teachers) > 1
    text = "Of the verdicts that are held against the labels above." if several else "There is one teacher."
    return Section(name="agreement", title="Agreement", text=text, tables=agreement_tables(counts.agreements))


def _budgets(budgets: Budgets) -> Section:
    return Section(
        name="budgets",
        title="Budgets of sentences",
        text="A smaller budget should mean less text and not the same text in longer sentences (Sreedhar et al., 2025,"
        " section 5.3 and Figure 5): the words in a trace grow linearly with the budget, those in a sentence hardly."
        if budgets
        else "The store holds no rewrite.",
        tables=budget_tables(budgets),
    )


def _judge(recipe: Recipe, counts: Counts) -> Section:
    text = "" if recipe.judge else "The recipe has no judge."
    return Section(name="judge", title="The judge", text=text, tables=judge_tables(counts.judged, recipe))


def _marks(marks: Agreement) -> Section:
    if not marks.traces:
        return Section(name="marks", title="Human marks", text="Nobody has marked a trace of this store.", tables=())
    who = ", ".join(f"{name} ({traces})" for name, traces in marks.reviewers.items())
    text = f"Marked traces: {marks.traces}. Reviewers and the traces of each: {who}."
    if marks.seen:
        text += f" Marks that were made with the filters' and the judge's findings in sight: {marks.seen}."
    if marks.unreached:
        text += f" Marked traces that the recipe does not come to any more: {marks.unreached}."
    return Section(name="marks", title="Human marks", text=text, tables=mark_tables(marks))
