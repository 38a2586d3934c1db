"""Budgets of sentences: how long the rewrites are that a store holds (paper, section 5.3, Appendix E and Figure 5).

The text of the paper says that the words in a sentence grow linearly with the budget, the figure and its appendix that
the words in a trace do. Both are counted here. What the authors check is that a smaller budget means less text and not
the same text in longer sentences: words in a trace on a rising line, words in a sentence about level.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from safety_reasoning.builders.calls import Reply
from safety_reasoning.builders.sift import efficient_trace
from safety_reasoning.filters.sentences import count_sentences
from safety_reasoning.pages.tables import TEACHER, Column, Row, Table, share
from safety_reasoning.review.report_statistics import Line, fit_line


@dataclass(slots=True)
class Rewrites:
    """The rewrites of one teacher under one budget, added up."""

    rewrites: int = 0
    words: int = 0
    sentences: int = 0
    within: int = 0
    """Rewrites of no more sentences than the budget."""

    def add(self, text: str, budget: int) -> None:
        """Count a rewrite."""
        sentences = count_sentences(text)
        self.rewrites += 1
        self.words += len(text.split())
        self.sentences += sentences
        self.within += sentences <= budget

    @property
    def words_in_a_trace(self) -> float:
        """Mean."""
        return self.words / self.rewrites

    @property
    def words_in_a_sentence(self) -> float:
        """Mean over all sentences; a text that has none counts as one."""
        return self.words / max(self.sentences, 1)


Budgets = Mapping[str, Mapping[int, Rewrites]]
"""By teacher and budget, both sorted."""
MEASURES: Mapping[str, Callable[[Rewrites], float]] = {
    "words in a trace": lambda rewrites: rewrites.words_in_a_trace,
    "words in a sentence": lambda rewrites: rewrites.words_in_a_sentence,
}
"""What grows with the budget, or should not."""


def count_budgets(replies: Iterable[Reply]) -> Budgets:
    """Every usable rewrite among the replies, whichever budget, attempt and recipe it belongs to."""
    found: defaultdict[str, defaultdict[int, Rewrites]] = defaultdict(lambda: defaultdict(Rewrites))
    for reply in replies:
        text = efficient_trace(reply) if reply.step.is_efficient else None
        if text is not None:
            budget = int(reply.step.removeprefix("efficient-"))
            found[reply.teacher][budget].add(text, budget)
    return {teacher: dict(sorted(budgets.items())) for teacher, budgets in sorted(found.items())}


def fits(budgets: Budgets) -> Iterator[tuple[str, str, Line]]:
    """(teacher, measure, the line through its means) for every teacher with rewrites under two budgets or more."""
    for teacher, counted in budgets.items():
        for name, measure in MEASURES.items():
            line = fit_line(list(counted), [measure(rewrites) for rewrites in counted.values()])
            if line is not None:
                yield teacher, name, line


def budget_tables(budgets: Budgets) -> tuple[Table, ...]:
    """The means, and the lines through them; () without rewrites."""
    return (_means(budgets), _lines(budgets)) if budgets else ()


def _means(budgets: Budgets) -> Table:
    columns = (
        *(TEACHER, Column("budget", "budget of sentences", "count")),
        Column("rewrites", "rewrites", "count"),
        Column("words", "words in a trace", "number"),
        Column("sentences", "sentences in a trace", "number"),
        Column("words_per_sentence", "words in a sentence", "number"),
        Column("within", "within the budget", "count"),
        Column("within_share", "share", "share"),
    )
    note = "Means over every usable rewrite in the store, whichever recipe asked for it and whether or not it was kept."
    rows = (_mean(teacher, n, of) for teacher, counted in budgets.items() for n, of in counted.items())
    return Table(
        name="budgets",
        title="Length of the rewrites by their budget of sentences",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def _mean(teacher: str, budget: int, of: Rewrites) -> Row:
    means = (of.words_in_a_trace, of.sentences / of.rewrites, of.words_in_a_sentence)
    return (teacher, budget, of.rewrites, *means, of.within, share(of.within, of.rewrites))


def _lines(budgets: Budgets) -> Table:
    columns = (
        *(TEACHER, Column("measure", "measure", "code")),
        Column("budgets", "budgets", "count"),
        Column("slope", "slope, words for each sentence of budget", "number"),
        *(Column("low", "95% interval from", "number"), Column("high", "to", "number")),
        Column("intercept", "intercept", "number"),
        Column("r_squared", "R²", "ratio"),
    )
    rows = [
        (teacher, name, len(budgets[teacher]), line.slope, line.low, line.high, line.intercept, line.r_squared)
        for teacher, name, line in fits(budgets)
    ]
    few = ", ".join(teacher for teacher, counted in budgets.items() if len(counted) < 2)
    note = "Least squares through the means above. Two budgets always lie on a line: no interval and no R²."
    return Table(
        name="budget_lines",
        title="Does length grow linearly with the budget?",
        columns=columns,
        rows=tuple(rows),
        note=f"{note} Not enough budgets for a line: {few}." if few else note,
        empty="not enough budgets for a line; ask for rewrites under two at least",
    )
