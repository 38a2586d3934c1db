"""The table [mixture] of a training recipe: which rows of which releases, in which mode. Unknown keys are errors.

Paths are relative to the recipe's own folder. The file's other tables belong to the stages after this one and are
not looked at here.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from safety_reasoning.builders.recipe import TeacherName
from safety_reasoning.errors import UsageError
from safety_reasoning.recipe_file import checked, read_toml
from safety_reasoning.schemas.columns import Task
from safety_reasoning.train.conversations import Mark

TraceKind = Literal["full", "efficient"]
Choice = Literal["best", "round_robin"]
Mode = Literal["reasoning", "non_reasoning", "dual"]
_HUB = "hf://"
_MARKS = {"prefix": ("[reasoning]", "[non-reasoning]"), "suffix": ("/think", "/no_think"), "template": ("", "")}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PartRecipe(_Section):
    """One task of one release."""

    release: str
    """A release folder, or `hf://datasets/OWNER/NAME@REVISION`; also the published data set."""
    task: Task
    """Content safety with topic control besides is what the paper calls "+TF" (section 6.2)."""
    size: int | None = Field(default=None, ge=1)
    """Rows that are taken, by the mixture's seed; a smaller subset of a seed is part of every larger one. None: all."""


class MarkRecipe(_Section):
    """How the mode of a row is told to a guard of two modes."""

    place: Literal["prefix", "suffix", "template"] = "prefix"
    """prefix: before the prompt (paper, section 5.4). suffix: after it, as for Nemotron-Content-Safety-Reasoning-4B.
    template: in a column `chat_template_kwargs`, for a chat template that reads `enable_thinking`."""
    on: str | None = None
    """The mark of reasoning; None: [reasoning] as a prefix, /think as a suffix."""
    off: str | None = None
    """The mark of its absence; None: [non-reasoning] as a prefix, /no_think as a suffix."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.place == "template" and (self.on or self.off):
            raise ValueError('a mark in the chat template has no text: leave out `on` and `off`, or choose "prefix"')
        if self.place != "template" and (self.mark.on == self.mark.off or not (self.mark.on and self.mark.off)):
            raise ValueError("`on` and `off` must be two different texts")
        return self

    @property
    def mark(self) -> Mark:
        """The mark with its texts."""
        on, off = _MARKS[self.place]
        return Mark(
            place=self.place,
            on=on if self.on is None else self.on,
            off=off if self.off is None else self.off,
        )


class DecontaminateRecipe(_Section):
    """Which rows are too close to a benchmark to be trained on."""

    benchmarks: str
    """A TOML file whose `[[benchmarks]]` say where the held-out texts are (train/decontaminate_texts.py)."""
    ngram: int = Field(default=8, ge=2, le=50)
    """Words of an n-gram; a text of fewer words is compared as a whole alone."""
    min_share: float = Field(default=0.5, gt=0, le=1)
    """Share of n-grams in common, of those of the shorter text, from which on a row is left out."""
    too_short: Literal["keep", "leave_out"] = "keep"
    """What happens to rows too short for an n-gram that equal no benchmark text; they are named either way."""
    responses: bool = False
    """Also compares the responses of content safety. They recur for other reasons: refusals are boilerplate."""


class OversampleRecipe(_Section):
    """Rows that are seen more often than the others (paper, section 5.6)."""

    keys: str
    """A Parquet or JSON Lines file with a column `key`."""
    times: int = Field(default=1, ge=1)
    """How often each of them is appended to the mixture besides."""


class MixtureRecipe(_Section):
    """What a guard is trained on."""

    name: str = Field(min_length=1)
    """The mixture's name, as its card's title."""
    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = "0.1.0"
    """The semantic version that the card and mixture.json state."""
    out: str
    """The folder. It is replaced as a whole, and only if it is a mixture or empty."""
    mode: Mode
    """reasoning: every row has a trace. non_reasoning: none has. dual: every other row has (paper, section 5.4)."""
    trace: TraceKind = "full"
    """Which of a teacher's traces is taught."""
    sentences: int | None = Field(default=None, ge=1, le=10)
    """The budget of the efficient traces, which the release's manifest must state; None: whatever they have."""
    teachers: tuple[TeacherName, ...] = ()
    """Whose traces are taught; () for every teacher of the release. For mode non_reasoning: only rows are taken on
    which one of these can be trusted; () for all rows."""
    choice: Choice = "best"
    """Of several teachers, a row takes the one whose verdicts agree most often with the labels of the release and
    who can be trusted on the row (best), or the one whose turn it is (round_robin)."""
    keep_mismatched: bool = False
    """Also takes traces whose verdict differs from the gold label or is not known."""
    taxonomy: Literal["own", "aegis", "wildguard"] = "own"
    """The taxonomy in the prompt; own: that of the data set which the row is from."""
    policy: str | None = None
    """A text file with a custom policy, in place of the taxonomy of every content-safety row."""
    mark: MarkRecipe = MarkRecipe()
    """Mode dual: how a prompt says which mode is wanted."""
    seed: int = 0
    """Decides the subset, and with it the split of a dual mixture and the turns of round_robin."""
    suicide_detection: str | None = None
    """A folder with Suicide_Detection.csv, to restore REDACTED prompts of Aegis; without it they are left out."""
    license: str = "cc-by-4.0"
    """The Hub's identifier of the mixture's licence."""
    parts: tuple[PartRecipe, ...] = Field(min_length=1)
    decontaminate: DecontaminateRecipe | None = None
    """None: rows are not compared with any benchmark, and the card says so."""
    oversample: OversampleRecipe | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mode != "dual" and "mark" in self.model_fields_set:
            raise ValueError(f'a mark tells two modes apart, and mode is "{self.mode}": remove it, or use "dual"')
        if self.sentences is not None and self.trace == "full":
            raise ValueError('a full trace has no budget: remove `sentences`, or use trace = "efficient"')
        if self.policy is not None and self.taxonomy != "own":
            raise ValueError("`policy` stands in place of the taxonomy: give one of the two")
        if len(set(self.teachers)) < len(self.teachers):
            raise ValueError("a teacher is named twice")
        places = [(part.release, part.task) for part in self.parts]
        if len(set(places)) < len(places):
            raise ValueError("two parts are the same task of the same release: their rows would be the same")
        return self

    @property
    def marked(self) -> Mark | None:
        """The mark of a dual mixture; None for any other."""
        return self.mark.mark if self.mode == "dual" else None


def load_mixture_recipe(path: Path) -> MixtureRecipe:
    """The mixture of a training recipe, its paths made absolute.

    Raises: UsageError naming the file, the field, what is wrong and what is allowed.
    """
    parsed = read_toml(path)
    if "mixture" not in parsed:
        raise UsageError(f"recipe {path} has no [mixture]", fix="add the table; recipes/train has examples")
    recipe = checked(MixtureRecipe, parsed["mixture"], path, table="mixture")
    return _anchored(recipe, path.parent)


def _anchored(recipe: MixtureRecipe, folder: Path) -> MixtureRecipe:
    def absolute(path: str) -> str:
        return path if path.startswith(_HUB) else str((folder / path).resolve())

    def changed(section: Any, field: str) -> Any:
        return section and section.model_copy(update={field: absolute(getattr(section, field))})

    update: dict[str, Any] = {
        "parts": tuple(changed(part, "release") for part in recipe.parts),
        "decontaminate": changed(recipe.decontaminate, "benchmarks"),
        "oversample": changed(recipe.oversample, "keys"),
    }
    for field in ("out", "policy", "suicide_detection"):
        update[field] = getattr(recipe, field) and absolute(getattr(recipe, field))
    return recipe.model_copy(update=update)
