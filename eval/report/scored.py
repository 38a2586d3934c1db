"""The scores of a report's runs, and what they give for the cells of the paper. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from safety_reasoning.eval.report.evaluated import Evaluated
from safety_reasoning.eval.report.grids import NOT_RUN, Estimate
from safety_reasoning.eval.report.paper_tables import Measure as PaperMeasure
from safety_reasoning.eval.scores.averages import AVERAGES, average
from safety_reasoning.eval.scores.measure import Measure, Score
from safety_reasoning.eval.scores.policy import DEFAULT, Policy
from safety_reasoning.eval.scores.score import DRAWS, score_run

ByTask = Mapping[str, Mapping[Policy, Score]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """By label of the run."""

    scores: Mapping[str, ByTask]

    def estimate(self, runs: Sequence[Evaluated], of: str, measure: PaperMeasure) -> Estimate | str:
        """See `Results`; unparsed rows count as the default policy has it."""
        if measure in ("mean_training_sets", "std_training_sets"):
            return self._over_runs(runs, of, measure)
        found = self._measure(runs, of)
        if isinstance(found, str):
            return found
        if measure == "std_generations":
            return "one generation" if found.std is None else Estimate(value=found.std)
        interval = found.interval
        low, high = (interval.low, interval.high) if interval else (None, None)
        return Estimate(value=found.value or 0.0, low=low, high=high, std=found.std)

    def _measure(self, runs: Sequence[Evaluated], of: str) -> Measure | str:
        """F1 of a task or an average; in words what is missing of it."""
        scores = {task: by[DEFAULT] for run in runs for task, by in self.scores[run.label].items()}
        if of not in AVERAGES:
            found = scores[of].f1 if of in scores else None
            return NOT_RUN if found is None else (found if found.value is not None else found.why)
        whole = average(scores, of)
        if whole.measure.value is not None:
            return whole.measure
        there = len(whole.tasks) - len(whole.missing)
        return f"{there} of {len(whole.tasks)} tasks" if there else NOT_RUN

    def _over_runs(self, runs: Sequence[Evaluated], of: str, measure: PaperMeasure) -> Estimate | str:
        """Mean or standard deviation (n - 1) over runs, each of a model trained on another set."""
        found = [self._measure([run], of) for run in runs]
        values = [one.value for one in found if isinstance(one, Measure) and one.value is not None]
        if len(values) < len(found):
            return next(one for one in found if isinstance(one, str))
        if measure == "mean_training_sets":
            return Estimate(value=fmean(values), std=stdev(values) if len(values) > 1 else None)
        return Estimate(value=stdev(values)) if len(values) > 1 else "one training set"


def scored(runs: Sequence[Evaluated], *, draws: int = DRAWS) -> Scored:
    """Score every run on every one of its tasks, under all parse policies."""
    return Scored(scores={run.label: score_run(run.run.rows, draws=draws) for run in runs})
