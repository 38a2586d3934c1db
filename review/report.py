"""The report of a store: what its traces are worth, in tables, figures and examples.

review/report_counts.py counts what builders/tried.py gives, review/report_sections.py puts it into words and tables,
review/report_page.py makes a page of the report.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.pages.tables import Table
from safety_reasoning.review.agreement_marks import Agreement
from safety_reasoning.review.report_counts import Counts
from safety_reasoning.review.report_examples import Example
from safety_reasoning.review.report_sections import Section, sections
from safety_reasoning.review.report_yield import Yield
from safety_reasoning.review.tables_budgets import Budgets
from safety_reasoning.review.tables_lengths import Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is said of a store."""

    name: str
    """Of the release that the recipe makes."""
    version: str
    samples: int
    unfinished: int
    """Chains of calls, one a sample and teacher, that lack a reply."""
    chains: int
    sections: tuple[Section, ...]
    words: Mapping[tuple[str, str], Histogram]
    """Of the kept traces, by teacher and step."""
    budgets: Budgets
    examples: Mapping[str, tuple[Example, ...]]
    """By reason."""
    attempts: Mapping[str, int]
    """How many have each reason, sorted by it."""

    def table(self, name: str) -> Table:
        """The table of that name, which there is."""
        return next(table for section in self.sections for table in section.tables if table.name == name)

    def as_json(self) -> dict[str, Any]:
        """Everything but figures and examples, in plain JSON values."""
        tables = [table for section in self.sections for table in section.tables]
        return {
            "name": self.name,
            "version": self.version,
            "samples": self.samples,
            "chains": self.chains,
            "unfinished": self.unfinished,
            "tables": {table.name: table.as_json() for table in tables},
        }


def make_report(recipe: Recipe, counts: Counts, budgets: Budgets, marks: Agreement) -> Report:
    """The report of what was counted; `budgets`: of every rewrite in the store."""
    chains = counts.yielded.samples * len(recipe.teachers)
    return Report(
        name=recipe.release.name,
        version=recipe.release.version,
        samples=counts.yielded.samples,
        unfinished=chains - counts.yielded.ended.total(),
        chains=chains,
        sections=sections(recipe, counts, budgets, marks),
        words=counts.lengths.words,
        budgets=budgets,
        examples=counts.examples.by_reason(),
        attempts=_by_reason(counts.yielded),
    )


def _by_reason(counts: Yield) -> dict[str, int]:
    total: Counter[str] = Counter()
    for why, attempts in counts.attempts_by_reason().items():
        total[why.reason] += attempts
    return dict(sorted(total.items()))
