"""Text that looks like a secret: the shapes of known tokens, and the very tokens of this machine.

Every byte of a text file is looked at, of a Parquet file every value and the metadata, of a safetensors file the
header, and every file's name. What is found is named by file and line; it is never quoted.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from safety_reasoning.hub.safetensors import header_bytes
from safety_reasoning.printable import printable

_SHAPES: Mapping[str, bytes] = {
    "a Hugging Face token": rb"hf_(?:oauth_|jwt_)?[A-Za-z0-9]{30,}",
    "a Hugging Face organisation token": rb"api_org_[A-Za-z0-9]{30,}",
    "an OpenAI or Anthropic key": rb"sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}",
    "an NVIDIA key": rb"nvapi-[A-Za-z0-9_-]{40,}",
    "a GitHub token": rb"gh[pousr]_[A-Za-z0-9]{36,}",
    "a fine-grained GitHub token": rb"github_pat_[A-Za-z0-9_]{50,}",
    "a GitLab token": rb"glpat-[A-Za-z0-9_-]{20,}",
    "an AWS key": rb"AKIA[0-9A-Z]{16}",
    "a temporary AWS key": rb"ASIA[0-9A-Z]{16}",
    "a Google key": rb"AIza[0-9A-Za-z_-]{35}",
    "a Slack token": rb"xox[abprs]-[0-9A-Za-z-]{10,}",
    "a private key": rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----",
}
"""Each begins with letters that it always has, so that the search is as fast as one for a word."""
_COMPILED = {kind: re.compile(shape) for kind, shape in _SHAPES.items()}
_SECRET_NAME = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD)$")
_MIN_SECRET = 16
"""Characters; what is shorter in a variable of such a name may be a word that occurs anywhere."""
_NAME = "the name of a file"
"""What is said instead of a name that is, or holds, a secret."""
_LETTER = re.compile(rb"[A-Za-z0-9_]")
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|[bfnrt])$")
"""How JSON writes a character that is not part of a word, with letters."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something looks like a secret; `own` says that it is one of this machine."""

    file: str
    line: int
    """From 1: the line of a text file, the row of a Parquet file; 0 for a header, metadata or a name."""
    kind: str
    own: bool

    def __str__(self) -> str:
        where = f"{printable(self.file)}:{self.line}" if self.line else printable(self.file)
        return f"{where} {'holds' if self.own else 'looks like'} {self.kind}"


def own_secrets(environment: Mapping[str, str] = os.environ) -> Mapping[bytes, str]:
    """Secrets of this machine by value, each with what it is: the login, and variables named like one."""
    from huggingface_hub import get_token

    found = {
        form: f"the value of {name}"
        for name, value in environment.items()
        if _SECRET_NAME.search(name.upper()) and len(value) >= _MIN_SECRET
        for form in _forms(value)
    }
    token = get_token()
    return found | ({token.encode(): "the Hub token in use"} if token else {})


def _forms(secret: str) -> Iterator[bytes]:
    """The bytes of a secret, and those that JSON writes of it."""
    yield os.fsencode(secret)
    yield json.dumps(secret)[1:-1].encode()
    yield os.fsencode(json.dumps(secret, ensure_ascii=False)[1:-1])


def findings(files: Mapping[str, Path], secrets: Mapping[bytes, str]) -> Iterator[Finding]:
    """Everything in the files that looks like a secret, file by file."""
    for name, path in files.items():
        of_name = [Finding(_NAME, 0, kind, own) for _, kind, own in _hits(os.fsencode(name), secrets)]
        yield from of_name
        shown, seen = _NAME if of_name else name, set[Finding]()
        for line, text in _texts(path):
            for offset, kind, own in _hits(text, secrets):
                at = line + text.count(b"\n", 0, offset) if line else 0
                finding = Finding(shown, at, kind, own)
                if finding not in seen:
                    seen.add(finding)
                    yield finding


def _texts(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number of its first line, text): a text file in blocks of whole lines, a Parquet file row by row."""
    if path.suffix == ".safetensors":
        yield 0, header_bytes(path)
    elif path.suffix == ".parquet":
        yield from _rows(path)
    else:
        yield from _blocks(path)


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    line = 1
    with path.open("rb") as file:
        while lines := file.readlines(1 << 24):
            yield line, b"".join(lines)
            line += len(lines)


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    row = 0
    with pq.ParquetFile(path) as file:
        yield 0, b"\n".join(part for pair in (file.metadata.metadata or {}).items() for part in pair)
        for batch in file.iter_batches(batch_size=256):
            for record in batch.to_pylist():
                row += 1
                text = json.dumps(record, ensure_ascii=False, default=str)
                yield row, text.encode("utf-8", "surrogatepass")


def _hits(text: bytes, secrets: Mapping[bytes, str]) -> Iterator[tuple[int, str, bool]]:
    """(offset, kind, whether it is of this machine)."""
    for secret, kind in secrets.items():
        at = text.find(secret)
        if at >= 0:
            yield at, kind, True
    for kind, shape in _COMPILED.items():
        for found in shape.finditer(text):
            if not _within_word(text[max(found.start() - 6, 0) : found.start()]):
                yield found.start(), kind, False


def _within_word(before: bytes) -> bool:
    """Whether what follows this is the middle of a word, as in `risk-…`."""
    return bool(_LETTER.match(before[-1:])) and not _ESCAPE.search(before)
