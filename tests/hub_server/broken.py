"""Releases that are changed by hand, for what a push says of them."""

import hashlib
import json
from pathlib import Path

HUB_TOKEN = "hf_" + "aB3dE5" * 6
"""What looks like a Hub token, and is none."""


def write(release: Path, name: str, content: bytes) -> None:
    """Put a content into the place of a file, and its hash into the manifest."""
    (release / name).write_bytes(content)
    path = release / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps(manifest), encoding="utf-8")


def edit(release: Path, name: str, old: str, new: str) -> None:
    text = (release / name).read_text(encoding="utf-8")
    assert old in text
    write(release, name, text.replace(old, new).encode())
