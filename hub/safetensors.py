"""The header of a safetensors file: which tensors it holds and where; nothing in it is ever executed.

Format: 8 bytes of length, little-endian, then a JSON object, then the tensors
(https://huggingface.co/docs/safetensors, "Format").
"""

import json
import struct
from pathlib import Path

from safety_reasoning.errors import UsageError

_MAX_HEADER = 100_000_000
"""Bytes, as the format's own readers limit it."""


def header_bytes(path: Path) -> bytes:
    """The JSON text of the header.

    Raises: UsageError if the file is no safetensors file.
    """
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _MAX_HEADER + 1
        text = file.read(length) if length <= _MAX_HEADER else b""
    if len(text) != length:
        raise _broken(path, "its header is cut or has an impossible length")
    return text


def check_safetensors(path: Path) -> int:
    """The number of tensors, once the header is read and the file is as long as it says.

    Raises: UsageError if the header does not parse or does not fit the file.
    """
    text = header_bytes(path)
    try:
        tensors = {name: about for name, about in json.loads(text).items() if name != "__metadata__"}
        end = max((int(about["data_offsets"][1]) for about in tensors.values()), default=0)
    except (ValueError, AttributeError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise _broken(path, "its header is not a JSON object of tensors") from error
    size = path.stat().st_size
    if size != 8 + len(text) + end:
        raise _broken(path, f"it has {size} bytes, its header speaks of {8 + len(text) + end}")
    return len(tensors)


def _broken(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} is not a whole safetensors file", why=why, fix="save the model again")
