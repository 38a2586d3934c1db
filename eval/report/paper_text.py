"""What the paper says in words: numbers of its figures, statements about cells, and the models of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from safety_reasoning.eval.report.paper_tables import Cell, Printed, paper_cell, read


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureNumber(Printed):
    """A number that the text gives of a figure."""

    name: str
    row: str
    """The model, as in the tables."""
    unit: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFigure:
    """One figure."""

    number: int
    title: str
    drawn: str
    """What of it is only drawn, and so not known in numbers."""
    numbers: tuple[FigureNumber, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What the text says of two cells."""

    says: str
    where: str
    higher: Cell
    lower: Cell
    by: tuple[Decimal, Decimal] | None = None
    """The least and the largest difference that it names; None: it names none."""

    @property
    def difference(self) -> Decimal:
        """Of the printed cells."""
        return self.higher.value - self.lower.value

    @property
    def holds(self) -> bool:
        """Whether the cells can be as it says, as far as their digits tell."""
        slack = self.higher.slack + self.lower.slack
        if self.by is None:
            return self.difference > 0
        return self.by[0] - slack <= self.difference <= self.by[1] + slack


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Two places of the text that cannot both be right, without a number that decides it."""

    says: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the tables, and what it is made of."""

    name: str
    title: str
    parameters: Decimal
    """In billions."""
    guard: str
    """The adapter that runs it."""
    reasoning: bool
    weights: str = ""
    """On the Hub; '' for a model that was not published, and has to be trained."""
    base: str = ""
    """What it starts from, on the Hub; '' where the weights are whole."""
    trained_on: str = ""
    samples: int | None = None
    """How many it is trained on (Figure 2); None: the whole split, or not said."""
    sentences: int | None = None
    """The budget of its traces (Figure 3); None: full traces, or none."""
    gated: bool = False
    """Whether the weights, or the base's, are given only to accounts that accepted their terms."""


@cache
def paper_figures() -> Mapping[int, PaperFigure]:
    """Figures 2 to 5, by number."""
    return {figure["number"]: _figure(figure) for figure in read("figures.toml")["figures"]}


def _figure(said: dict[str, Any]) -> PaperFigure:
    numbers = tuple(FigureNumber(**number | {"value": Decimal(number["value"])}) for number in said.pop("numbers", []))
    return PaperFigure(numbers=numbers, **said)


@cache
def statements() -> tuple[Statement, ...]:
    """What the text says of the tables, in the text's order."""
    return tuple(_statement(said) for said in read("text.toml")["statements"])


def _statement(said: dict[str, Any]) -> Statement:
    by = said.get("by")
    return Statement(
        says=said["says"],
        where=said["where"],
        higher=paper_cell(*said["higher"]),
        lower=paper_cell(*said["lower"]),
        by=None if by is None else (by[0], by[1]),
    )


@cache
def words() -> tuple[Words, ...]:
    """Where the text speaks against itself."""
    return tuple(Words(**said) for said in read("text.toml")["words"])


@cache
def models() -> Mapping[str, Model]:
    """Every model of the tables, by the name that its rows have."""
    found = (Model(**model) for model in read("models.toml")["models"])
    return {model.name: model for model in found}
