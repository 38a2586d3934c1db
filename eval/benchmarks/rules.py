"""Label rules: what a row's gold label is. Pure functions of the row and what the declaration says of its labels.

True: positive. False: negative. None: the row says nothing. They raise `BadRow` for a value outside the declared ones.
"""

from collections.abc import Callable, Mapping

from safety_reasoning.builders.left_out import BadRow, Reason
from safety_reasoning.builders.sources import fields
from safety_reasoning.builders.sources.fields import Row
from safety_reasoning.eval.benchmarks.declaration import Label

Rule = Callable[[Row, Label], bool | None]


def written(value: object) -> str | None:
    """A value as a CSV, Parquet and JSON file of the same rows agree on: 1 for 1.0, true for True; None for null."""
    if fields.is_null(value):
        return None
    if isinstance(value, bool) or value in ("True", "False"):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def equals(row: Row, label: Label) -> bool | None:
    """Whether the column has one of the positive values."""
    return _one_of(row, label.columns[0], _values(label.positive), _values(label.negative))


def any_flag(row: Row, label: Label) -> bool | None:
    """Whether one of the flags is 1; None where none is and one is not known."""
    flags = [_flag(row, column) for column in label.columns]
    if True in flags:
        return True
    return None if None in flags else False


def majority(row: Row, label: Label) -> bool | None:
    """Whether more than half of the votes are 1; None where one is not known."""
    votes = [_flag(row, column) for column in label.columns]
    return None if None in votes else 2 * votes.count(True) > len(votes)


def always(_row: Row, _label: Label) -> bool | None:
    """True: the benchmark has no negative rows."""
    return True


RULES: Mapping[str, Rule] = {"equals": equals, "any_flag": any_flag, "majority": majority, "always": always}
"""`dialogue` is not among them: it labels turns, not rows (dialogues.py)."""


def in_words(label: Label) -> str:
    """The rule, as a run states it."""
    columns = ", ".join(label.columns)
    if label.rule == "equals":
        return f"{columns} is {' or '.join(_values(label.positive))}"
    if label.rule == "any_flag":
        return f"any of {columns} is 1"
    if label.rule == "majority":
        return f"most of {columns} are 1"
    return "every row is positive" if label.rule == "always" else "a user turn that is a distractor is off-topic"


def _values(values: tuple[bool | int | str, ...]) -> tuple[str, ...]:
    return tuple(str(written(value)) for value in values)


def _flag(row: Row, column: str) -> bool | None:
    return _one_of(row, column, ("1",), ("0",))


def _one_of(row: Row, column: str, positive: tuple[str, ...], negative: tuple[str, ...]) -> bool | None:
    value = written(row.get(column))
    if value is None:
        return None
    if value not in (*positive, *negative):
        raise BadRow(Reason.UNKNOWN_LABEL, column, f"not one of {', '.join((*positive, *negative))}")
    return value in positive
