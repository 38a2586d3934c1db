"""Xet storage on disk: `hf_xet` itself speaks to a folder (`local://`), cuts into chunks and keeps each one once."""

import importlib
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_RECORD = 48
"""Bytes of every record of a shard: header, file, segment, verification and metadata alike."""
_VERIFIED, _HAS_SHA256 = 1 << 31, 1 << 30


class XetStore:
    """The content-addressed store that the server names to clients that use Xet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"local://{folder}"

    def stored_bytes(self) -> int:
        """What was uploaded so far: chunks after compression, and the shards that say which file has which."""
        kept = (p for p in self._folder.rglob("xorbs/*/*") if p.suffix != ".tagset")
        return sum(path.stat().st_size for path in kept if path.is_file())

    def hash_of(self, sha256: str) -> str | None:
        """The Xet hash of the file with this sha256; None where no upload named it."""
        for shard in self._folder.rglob("shards/*.mdb"):
            for xet_hash, found in _files(shard.read_bytes()):
                if found == sha256:
                    return xet_hash
        return None

    def content(self, xet_hash: str, size: int) -> bytes:
        """The file, put together again from its chunks."""
        hf_xet: Any = importlib.import_module("hf_xet")  # it ships no types
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            with hf_xet.XetSession().new_file_download_group(endpoint=self.url) as group:
                group.start_download_file(hf_xet.XetFileInfo(xet_hash, size), str(path))
            return path.read_bytes()


def _files(shard: bytes) -> Iterator[tuple[str, str]]:
    """(Xet hash, sha256) of the files that a shard describes (Xet specification, section "File Info")."""
    at = _RECORD
    while shard[at : at + 32] != b"\xff" * 32:
        flags, segments = struct.unpack_from("<II", shard, at + 32)
        metadata = at + _RECORD * (1 + segments * (2 if flags & _VERIFIED else 1))
        if flags & _HAS_SHA256:
            yield _hex(shard[at : at + 32]), _hex(shard[metadata : metadata + 32])
        at = metadata + (_RECORD if flags & _HAS_SHA256 else 0)


def _hex(hash_bytes: bytes) -> str:
    """A hash as Xet writes it: four little-endian numbers of 64 bits."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", hash_bytes))
