"""Declarations: what a benchmark is, one TOML file a task (tasks/*.toml)."""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from safety_reasoning.builders.sources.selection import Selection
from safety_reasoning.errors import UsageError
from safety_reasoning.eval.benchmarks.item import Subject
from safety_reasoning.recipe_file import checked, read_toml

_FOLDER = Path(__file__).parent / "tasks"
Scalar = bool | int | str
Text = Annotated[str, StringConstraints(min_length=1)]
Names = Annotated[tuple[Text, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
"""A name, or several of which a file has one: mirrors rename columns."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Source(_Section):
    """Where the rows are."""

    repo: str = ""
    """The data set on the Hub; '' where it is not there."""
    url: str = ""
    """Where a person gets the file that is not on the Hub."""
    revision: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40})?$")] = ""
    """The commit that is read; '': what `main` names that day, and `unpinned` says why."""
    unpinned: str = ""
    file: Text
    """Its path in the repository."""
    nested: bool = False
    """The file is a JSON object of lists of rows, not one list."""
    gated: bool = False
    """Upstream gives it only to accounts that it let in."""
    file_rows: int | None = Field(default=None, ge=1)
    """Rows, or dialogues, of the file; None: not known."""

    @property
    def page(self) -> str:
        """Where a person finds the data and, of a gated set, asks for access."""
        return f"https://huggingface.co/datasets/{self.repo}" if self.repo else self.url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.repo) == bool(self.url):
            raise ValueError("give either `repo` or `url`")
        if bool(self.revision) == bool(self.unpinned):
            raise ValueError("give either `revision` or why it is `unpinned`")
        return self


class Columns(_Section):
    """Which columns hold what. `category` and `domain` may be absent from a file; the others not."""

    prompt: Names = ()
    response: Names = ()
    policy: Names = ()
    category: Names = ()
    category_separator: str = ""
    """What stands between the categories of one value; '': the value is one category."""
    domain: Names = ()
    domain_names: dict[str, str] = Field(default_factory=dict)
    """What values of `domain` are called: `true = "adversarial"`."""


class Label(_Section):
    """How a row's gold label is read (rules.py)."""

    rule: Literal["equals", "any_flag", "majority", "always", "dialogue"]
    """equals: the column has one of the values. any_flag: one of the columns is 1. majority: more than half of the
    columns are 1. always: every row is positive. dialogue: user turns of dialogues, off-topic ones positive."""
    columns: Names = ()
    positive: tuple[Scalar, ...] = ()
    """Under `equals`: the values that are positive."""
    negative: tuple[Scalar, ...] = ()
    """Under `equals`: the values that are negative; any other one is left out as `unknown_label`."""
    names: dict[str, str] = Field(default_factory=dict)
    """Under `any_flag`: the category that each column stands for."""


class Policy(_Section):
    """The custom policy of a task whose rows do not hold it: a third party's text, unchanged."""

    text: Text
    source: Text
    """Whose it is and where it was published."""
    licence: Text


class Preset(_Section):
    """One reading of a benchmark whose rule can be read in several ways."""

    means: Text
    """In words, what sets it apart."""
    rows: int | None = Field(default=None, ge=1)
    """Labelled rows, before equal texts are made one item; None: not known, not checked."""
    positives: int | None = Field(default=None, ge=0)
    """Of these, the positive ones; None: not known, not checked."""
    where: dict[str, Scalar] = Field(default_factory=dict)
    """Only rows that have these values are of this preset."""
    prompt: Names = ()
    """Another prompt column than the task's."""
    null_label: Literal["left out", "negative"] = "left out"
    """What a row is that has no label, or (any_flag) no 1 and not every flag."""
    redacted: Literal["kept", "left out"] = "kept"
    """What becomes of rows whose prompt is the word REDACTED."""
    empty_response: Literal["kept", "left out"] = "kept"
    select: Selection | None = None
    """Of dialogues: which user turns are taken."""


class Declaration(_Section):
    """A whole task."""

    title: Text
    subject: Subject
    positive_class: Text
    """What a positive verdict says: harmful, off-topic."""
    licence: Text
    citation: Text
    known_from: Text
    """Where columns, counts and rule were read; counts are checked as rows are read."""
    source: Source
    columns: Columns = Columns()
    label: Label
    where: dict[str, Scalar] = Field(default_factory=dict)
    """Only rows that have these values are of this task."""
    domain: str = ""
    """The part of the benchmark that the whole task is; '': as the rows say."""
    policy: Policy | None = None
    default: Text
    """The preset that is taken unasked."""
    presets: dict[str, Preset]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.default not in self.presets:
            raise ValueError(f"default = {self.default!r} is none of its presets: {', '.join(self.presets)}")
        dialogue = self.label.rule == "dialogue"
        if dialogue != (self.subject == Subject.TURN):
            raise ValueError("the rule `dialogue` and the subject `turn` go together")
        if not dialogue and not self.columns.prompt:
            raise ValueError("columns.prompt is missing")
        if (self.subject == Subject.RESPONSE) != bool(self.columns.response):
            raise ValueError("columns.response is given where the subject is the response, and only there")
        if self.label.rule in {"equals", "any_flag", "majority"} and not self.label.columns:
            raise ValueError(f"the rule `{self.label.rule}` needs label.columns")
        if self.label.rule == "equals" and not (self.label.positive and self.label.negative):
            raise ValueError("the rule `equals` needs label.positive and label.negative")
        return self


@cache
def task_names() -> tuple[str, ...]:
    """Every task, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load_declaration(name: str) -> Declaration:
    """The declaration of a task.

    Raises: UsageError if there is no such task.
    """
    if name not in task_names():
        raise UsageError(f"there is no benchmark {name!r}", fix=f"use one of: {', '.join(task_names())}")
    return read_declaration(_FOLDER / f"{name}.toml")


def read_declaration(path: Path) -> Declaration:
    """The declaration in a file.

    Raises: UsageError naming the file, the field and what is wrong.
    """
    return checked(Declaration, read_toml(path), path)


def preset_of(name: str, declared: Declaration, preset: str | None) -> tuple[str, Preset]:
    """The preset of that name, or the default one, with its name.

    Raises: UsageError if the task has no such preset.
    """
    asked = preset or declared.default
    if asked not in declared.presets:
        known = ", ".join(declared.presets)
        raise UsageError(f"{name} has no preset {asked!r}", fix=f"use one of: {known}")
    return asked, declared.presets[asked]
