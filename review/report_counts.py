"""Everything that a report counts, in one pass over the samples: little is kept, so a store may have any size."""

from collections.abc import Iterable
from dataclasses import dataclass

from safety_reasoning.builders.recipe import Recipe
from safety_reasoning.builders.samples import Sample
from safety_reasoning.builders.store import Store
from safety_reasoning.review.report_cases import cases
from safety_reasoning.review.report_examples import Examples
from safety_reasoning.review.report_yield import Yield
from safety_reasoning.review.tables_agreement import Agreements
from safety_reasoning.review.tables_judge import Judged
from safety_reasoning.review.tables_lengths import Lengths
from safety_reasoning.review.tables_mismatch import Mismatches


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one pass over the samples counts."""

    yielded: Yield
    lengths: Lengths
    mismatches: Mismatches
    agreements: Agreements
    judged: Judged
    examples: Examples


def count(recipe: Recipe, samples: Iterable[Sample], store: Store) -> Counts:
    """Everything that the store holds for the recipe, counted.

    Raises: UsageError if the store is damaged.
    """
    counts = Counts(
        yielded=Yield(),
        lengths=Lengths(),
        mismatches=Mismatches(),
        agreements=Agreements(teachers=tuple(sorted(teacher.name for teacher in recipe.teachers))),
        judged=Judged(modes=recipe.judge.rubric if recipe.judge else ()),
        examples=Examples(),
    )
    tallies = (
        *(counts.yielded, counts.lengths, counts.mismatches, counts.agreements, counts.judged),
        counts.examples,
    )
    for case in cases(recipe, samples, store):
        for tally in tallies:
            tally.add(case)
    return counts
