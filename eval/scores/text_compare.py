"""The comparison of two runs as lines for a terminal."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl

from safety_reasoning.eval.scores.comparable import Difference
from safety_reasoning.eval.scores.compare import Chance, Compared, p_of
from safety_reasoning.eval.scores.measure import Measure
from safety_reasoning.eval.scores.text import NOTHING, columns, one_line, with_interval
from safety_reasoning.pages.text import cut

_HEAD = ("task", "rows", "F1 of A", "F1 of B", "B - A", "p", "Holm", "BH", "A right", "B right", "p", "Holm", "BH")
_NAMED = 3
_SHOWN = 400
"""Characters of a trace or an answer."""
_SMALL = 0.0001


def compare_lines(
    compared: Sequence[Compared], averages: Mapping[str, Measure], forced: Collection[Difference]
) -> Iterator[str]:
    """What was forced, one line a task, the averages, and what is in one run alone."""
    for one in forced:
        yield one_line(f"forced, though the runs differ: {one}")
    yield "B - A: difference of F1, with its 95% interval and p by paired bootstrap; then McNemar's exact test of the"
    yield "items that one run judges right more often; p corrected for the tasks by Holm and Benjamini-Hochberg (BH)"
    yield from columns([_HEAD, *map(_cells, compared)])
    for name, measure in averages.items():
        p = p_of(measure.draws)
        yield f"{name}: {with_interval(measure)}" + ("" if p is None else f", p {_p(p)}")
    for task in compared:
        if task.difference.value is None:
            yield one_line(f"{task.task}: not compared: {task.difference.why}")
        yield from _alone(task.task, "A", task.only_a)
        yield from _alone(task.task, "B", task.only_b)


def flip_lines(rows: pl.DataFrame, shown: int) -> Iterator[str]:
    """How many rows flipped in each task, and the first of them with both traces."""
    counts = Counter(rows.select("task", "flip").iter_rows()) if len(rows) else Counter[tuple[str, ...]]()
    said = {"b_right": "only B is right", "a_right": "only A is right", "neither": "neither is"}
    for (task, flip), count in sorted(counts.items()):
        yield one_line(f"{task}: in {count} rows the verdicts differ and {said[flip]}")
    for row in rows.head(shown).iter_rows(named=True):
        yield ""
        yield one_line(
            f"{row['task']} {row['item']}/{row['generation']}, positive: {row['positive']}, {said[row['flip']]}"
        )
        for run in ("a", "b"):
            yield one_line(f"  {run.upper()}: {_verdict(row[f'{run}_predicted'], row[f'{run}_parse'])}")
            yield f"     trace: {_text(row[f'{run}_reasoning'])}"
            yield f"     answer: {_text(row[f'{run}_answer'])}"


def _cells(one: Compared) -> tuple[object, ...]:
    f1 = (with_interval(measure) for measure in (one.f1_a, one.f1_b, one.difference))
    return (one.task, one.rows, *f1, *_chance(one.f1), one.a_better, one.b_better, *_chance(one.mcnemar))


def _chance(chance: Chance) -> tuple[str, ...]:
    return tuple(map(_p, (chance.p, chance.holm, chance.benjamini_hochberg)))


def _p(p: float | None) -> str:
    return NOTHING if p is None else f"{p:.4f}" if p >= _SMALL else f"<{_SMALL}"


def _alone(task: str, run: str, rows: Sequence[str]) -> Iterator[str]:
    if rows:
        more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        yield one_line(
            f"{task}: {len(rows)} rows are in {run} alone and not compared: {', '.join(rows[:_NAMED])}{more}"
        )


def _verdict(predicted: bool | None, parse: str) -> str:
    return f"no verdict ({parse})" if predicted is None else "positive" if predicted else "negative"


def _text(text: str | None) -> str:
    """On one line, what cannot be seen made visible, without the middle of a long one."""
    parts = cut(text or "", _SHOWN)
    middle = f" … {parts.left_out} characters … " if parts.left_out else ""
    return one_line(f"{parts.head}{middle}{parts.tail}")
