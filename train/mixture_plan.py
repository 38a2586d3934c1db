"""Which rows of a part are taken, in which mode and with whose trace. Everything that can be wrong is said here."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from safety_reasoning.builders.calls import Step
from safety_reasoning.errors import UsageError
from safety_reasoning.hub.reading import Side
from safety_reasoning.schemas.columns import JSONL_FILE, Task
from safety_reasoning.train.conversations import RowMode
from safety_reasoning.train.mixture_recipe import MixtureRecipe
from safety_reasoning.train.mixture_rows import Reader
from safety_reasoning.train.mixture_survey import Survey
from safety_reasoning.train.mixture_unused import Unused, UnusedRow
from safety_reasoning.train.subset import best_first, modes, shuffled, teachers_of


@dataclass(frozen=True, slots=True)
class Taken:
    """How a row is used."""

    mode: RowMode
    teacher: str | None
    """None for a row without a trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One part, ready to be written."""

    side: Side
    reader: Reader
    survey: Survey
    taken: Mapping[int, Taken]
    """By the row's number in the part."""
    unused: tuple[UnusedRow, ...]
    """Every row that is not taken, by its number; then lines that could not be read at all."""


def make_plan(side: Side, reader: Reader, survey: Survey, recipe: MixtureRecipe, part: int) -> Plan:
    """The rows of the part that are taken.

    Raises: UsageError if a teacher has no trace that could be taught, or fewer rows can be used than are wanted.
    """
    _check_teachers(side, reader, survey, recipe)
    order = shuffled(survey.usable, recipe.seed)
    size = recipe.parts[part].size
    if size is not None and size > len(order):
        raise UsageError(
            f"the part asks for {size} rows of {reader.task}, and {len(order)} of {side.named} can be used",
            why=f"left out: {reasons_in_words(survey.unused) or 'none; it has no more'}",
            fix="ask for fewer, for all of them (no `size`), or for those that another teacher can be trusted on",
        )
    taken = _taken(order[:size], survey, recipe)
    task = reader.task
    others = [
        UnusedRow(task=task, part=part, row=survey.usable[key].row, key=key, reason=Unused.NOT_SELECTED, detail="")
        for key in order[len(taken) :]
    ]
    lines = [
        UnusedRow(
            task=task, part=part, row=line, key="", reason=Unused.UNREADABLE, detail=f"line {line} of {file.file}"
        )
        for file in side.unreadable
        for line in file.lines
        if _belongs(file.file, task)
    ]
    unused = (*sorted([*survey.unused, *others], key=lambda row: row.row), *lines)
    return Plan(side=side, reader=reader, survey=survey, taken=taken, unused=unused)


def _belongs(file: str, task: Task) -> bool:
    """Whether a file of JSON Lines is of the task, by the name under which it is published; of any, if by another."""
    return file not in JSONL_FILE.values() or file == JSONL_FILE[task]


def _taken(order: list[str], survey: Survey, recipe: MixtureRecipe) -> dict[int, Taken]:
    row_modes = dict(zip(order, modes(recipe.mode, len(order)), strict=True))
    reasoning = [key for key in order if row_modes[key] == "reasoning"]
    trusted = [survey.usable[key].teachers for key in reasoning]
    names = teachers_of(trusted, recipe.choice, best_first(survey.agreement))
    teacher = dict(zip(reasoning, names, strict=True))
    return {survey.usable[key].row: Taken(row_modes[key], teacher.get(key)) for key in order}


def _check_teachers(side: Side, reader: Reader, survey: Survey, recipe: MixtureRecipe) -> None:
    """Raise UsageError if a named teacher, or every teacher, has nothing to teach."""
    kind, task = recipe.trace, reader.task
    silent = [name for name in reader.teachers if not survey.traces[name]]
    if not reader.teachers and recipe.mode != "non_reasoning":
        raise UsageError(
            f"{side.named} has no teacher in {task}", fix='choose mode = "non_reasoning", or another release'
        )
    if silent and (recipe.teachers or len(silent) == len(reader.teachers)):
        raise UsageError(
            f"{side.named} has no {kind} trace of {silent[0]} in {task}: the column is null in every row",
            why="the teacher was not asked for it, or the filters refused every trace",
            fix=f"name other `teachers`, or build a release with {kind} traces of this one",
        )


def check_budget(side: Side, reader: Reader, sentences: int) -> None:
    """Raise UsageError unless the release's manifest states this budget for every teacher that is read."""
    step = Step.efficient(sentences)
    teachers = [] if side.manifest is None else side.manifest.get("teachers", [])
    stated = {teacher["name"]: teacher["steps"] for teacher in teachers}
    for name in reader.teachers:
        if step not in stated.get(name, {}):
            budgets = [found for found in stated.get(name, {}) if found.startswith("efficient-")]
            raise UsageError(
                f"{side.named} does not state that the efficient traces of {name} are {step}",
                why=f"its manifest says {', '.join(budgets)}" if budgets else "it has no manifest that says so",
                fix="build a release with that `release.sentences`, or leave `sentences` out of the mixture",
            )


def reasons_in_words(unused: list[UnusedRow] | tuple[UnusedRow, ...]) -> str:
    """The reasons with their counts, most frequent first."""
    counts = Counter(row.reason for row in unused)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} × {reason}" for reason, count in ordered)
