"""Typed access to the fields of a raw row; whatever does not fit raises `BadRow` with its reason code."""

import math
from collections.abc import Collection, Mapping
from typing import cast

from safety_reasoning.builders.left_out import BadRow, Reason

Row = Mapping[str, object]


def as_row(value: object, required: Collection[str] = ()) -> Row:
    """The value as a row that has the required fields."""
    if not isinstance(value, dict):
        raise BadRow(Reason.NOT_AN_OBJECT, "", f"expected an object, found {_kind(value)}")
    for name in required:
        if name not in value:
            raise BadRow(Reason.MISSING_FIELD, name, "the row lacks it")
    return value


def text(row: Row, name: str) -> str:
    """A string, as it is, that can be written as UTF-8."""
    value = row.get(name)
    if not isinstance(value, str):
        raise BadRow(Reason.WRONG_TYPE, name, f"expected a string, found {_kind(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRow(Reason.NOT_UNICODE, name, f"{error.reason} at character {error.start}") from None
    return value


def optional_text(row: Row, name: str) -> str | None:
    """A string or None; '' stays ''; NaN (what pandas makes of null) is None."""
    return None if is_null(row.get(name)) else text(row, name)


def choice(row: Row, name: str, allowed: Collection[str]) -> str:
    """A string of a closed set."""
    value = text(row, name)
    if value not in allowed:
        raise BadRow(Reason.UNKNOWN_LABEL, name, f"not one of {', '.join(sorted(allowed))}")
    return value


def optional_choice(row: Row, name: str, allowed: Collection[str]) -> str | None:
    """A string of a closed set, or None."""
    return None if is_null(row.get(name)) else choice(row, name, allowed)


def optional_whole_number(row: Row, name: str) -> int | None:
    """An int or None; 4217.0 (what pandas makes of a nullable int) is 4217."""
    value = row.get(name)
    if is_null(value):
        return None
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise BadRow(Reason.WRONG_TYPE, name, f"expected a whole number or null, found {_kind(value)}")
    number = int(cast(float, value))
    if not -(2**63) <= number < 2**63:
        raise BadRow(Reason.WRONG_TYPE, name, "the number does not fit into 64 bits")
    return number


def items(row: Row, name: str) -> list[object]:
    """A list."""
    value = row.get(name)
    if not isinstance(value, list):
        raise BadRow(Reason.WRONG_TYPE, name, f"expected a list, found {_kind(value)}")
    return value


def is_null(value: object) -> bool:
    """None, or the NaN that pandas writes for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
