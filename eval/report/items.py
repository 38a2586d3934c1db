"""The items of benchmarks by their keys, to show what was judged beside what a guard said of it."""

from collections.abc import Mapping, Sequence

from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.item import Item
from safety_reasoning.eval.benchmarks.load import load_task
from safety_reasoning.eval.report.evaluated import tasks_of
from safety_reasoning.eval.runs.folder import Run


def read_items(runs: Sequence[Run], places: Mapping[str, str]) -> dict[str, Item]:
    """The items of each task, from its file or folder, with the preset that the runs were made with.

    The file may have other counts than the benchmark: what it lacks is not shown, and nothing is scored by it.

    Raises: UsageError if no run has the task, or its file cannot be read.
    """
    presets = {name: task.get("preset") for run in runs for name, task in tasks_of(run).items()}
    items: dict[str, Item] = {}
    for task, place in places.items():
        if task not in presets:
            raise UsageError(
                f"--items {task}={place}: no run has that task", fix=f"one of {', '.join(sorted(presets))}"
            )
        loaded = load_task(task, place=place, preset=presets[task], counts="as they are")
        items |= {item.key: item for item in loaded.items}
    return items
