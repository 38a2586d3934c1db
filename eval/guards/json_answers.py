"""Answers that are one JSON object and nothing else."""

import json
from typing import Any

from safety_reasoning.builders.verdicts import Fault

_FENCE = "```"


class _TwiceError(ValueError):
    """A key that is there twice, with two values."""


def json_object(text: str) -> dict[str, Any] | Fault:
    """The object that the text is, with or without a code fence around it.

    A second object or a key with two values are two verdicts; anything else beside the object is no verdict.
    """
    bare = _unfenced(text.strip())
    decoder = json.JSONDecoder(object_pairs_hook=_pairs)
    try:
        first, end = decoder.raw_decode(bare)
        rest = bare[end:].strip()
        if not isinstance(first, dict):
            return Fault.NO_VERDICT
        if not rest:
            return first
        second, _ = decoder.raw_decode(rest)
    except _TwiceError:
        return Fault.TWO_VERDICTS
    except (ValueError, RecursionError):
        return Fault.NO_VERDICT
    return Fault.TWO_VERDICTS if isinstance(second, dict) and second != first else Fault.NO_VERDICT


def _unfenced(text: str) -> str:
    if not (text.startswith(_FENCE) and text.endswith(_FENCE) and len(text) > 2 * len(_FENCE)):
        return text
    return text[len(_FENCE) : -len(_FENCE)].removeprefix("json").strip()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if values.setdefault(key, value) != value:
            raise _TwiceError(key)
    return values
