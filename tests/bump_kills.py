"""Run as a script: kill a bump before each change that it makes to the file system, and look at what is left.

Arguments: a release, and an empty folder to work in. Prints one JSON document.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from safety_reasoning.hub.versions_bump import bump
from tests.conftest import tree

_WRITING = os.O_WRONLY | os.O_RDWR


def watched(work: Path, at: int) -> None:
    """From now on, die before the change of this number in the folder; looking up `renameat2` announces one."""
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        named = any(isinstance(a, str | os.PathLike) and (str(work) in str(a) or a == "renameat2") for a in arguments)
        reading = event in {"os.listdir", "os.scandir"} or (event == "open" and not arguments[2] & _WRITING)
        if named and not reading:
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def in_child(release: Path, at: int) -> bool:
    """Bump it in a process that dies at the event; whether it lived."""
    child = os.fork()
    if child == 0:
        watched(release.parent, at)
        bump(release, "none", chosen="2.0.0")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not (os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0):
        raise SystemExit("the bump failed")
    return not os.WIFSIGNALED(status)


def main() -> None:
    source, work = Path(sys.argv[1]), Path(sys.argv[2])
    whole = Path(shutil.copytree(source, work / "whole"))
    bump(whole, "none", chosen="2.0.0")
    old, new = tree(source), tree(whole)
    found: dict[str, list[int]] = {"old": [], "new": [], "neither": [], "not mended": []}
    for at in range(1, 1000):
        release = Path(shutil.copytree(source, work / "at" / "release"))
        lived = in_child(release, at)
        left = tree(release)
        found["old" if left == old else "new" if left == new else "neither"].append(at)
        in_child(release, 0)
        if tree(release) != new or len(list(release.parent.iterdir())) != 1:
            found["not mended"].append(at)
        shutil.rmtree(work / "at")
        if lived:
            break
    print(json.dumps(found))


if __name__ == "__main__":
    main()
