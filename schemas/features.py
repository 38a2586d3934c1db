"""Column types for Arrow, polars and `datasets`, all derived from a record schema."""

from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from safety_reasoning.schemas.record import Schema

if TYPE_CHECKING:
    from datasets import Features

_ARROW = {"string": pa.string(), "integer": pa.int64(), "boolean": pa.bool_()}


def arrow_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema of the records, columns in order."""
    return pa.schema([pa.field(name, _arrow_type(of)) for name, of in schema["properties"].items()])


def _arrow_type(of: Schema) -> pa.DataType:
    kind = _kind(of)
    if kind == "array":
        return pa.list_(_arrow_type(of["items"]))
    if kind == "object":
        return pa.struct([pa.field(name, _arrow_type(part)) for name, part in of["properties"].items()])
    return _ARROW[kind]


def _kind(of: Schema) -> str:
    """The JSON type of a column, apart from null."""
    kinds: Any = of["type"]
    return next(k for k in ([kinds] if isinstance(kinds, str) else kinds) if k != "null")


def polars_schema(schema: Schema) -> pl.Schema:
    """The polars schema of the records, columns in order."""
    frame = pl.from_arrow(arrow_schema(schema).empty_table())
    if not isinstance(frame, pl.DataFrame):
        raise TypeError("a table gave no frame")
    return frame.schema


def features(schema: Schema) -> "Features":
    """The `datasets.Features` of the records, for `load_dataset("json", …, features=…)` and the card."""
    from datasets import Features

    found: Features = Features.from_arrow_schema(arrow_schema(schema))
    return found
