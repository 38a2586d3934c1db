"""The process that forks itself for each push it is told of on stdin; see `pusher`.

Within a push no socket but those of loopback can be opened.
"""

import dataclasses
import io
import json
import os
import signal
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import datasets
import pytest_socket

from safety_reasoning.errors import UsageError
from safety_reasoning.hub.faults import Patience
from safety_reasoning.hub.plan import Target
from safety_reasoning.hub.push import carry_out, prepare

QUICK = Patience(first_wait_s=0.01, longest_wait_s=2.0, answer_s=5.0)
"""The patience of a push in tests."""


def main() -> None:
    """Fork for every line of stdin."""
    datasets.disable_progress_bars()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        job = json.loads(line)
        pipe = os.open(job["pipe"], os.O_WRONLY)
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.write(pipe, f"{os.getpid()}\n".encode())
            answer = json.dumps(_pushed(Path(job["release"]), job["repo"], job["options"])).encode()
            while answer:
                answer = answer[os.write(pipe, answer) :]
            os._exit(0)
        os.close(pipe)


def _pushed(release: Path, repo: str, options: dict[str, Any]) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = _code(release, repo, options)
    return {"returncode": code, "out": out.getvalue(), "err": err.getvalue()}


def _code(release: Path, repo: str, options: dict[str, Any]) -> int:
    pytest_socket.socket_allow_hosts(["127.0.0.1"])
    patience = dataclasses.replace(QUICK, **_taken(options, Patience))
    target = Target(repo=repo, **_taken(options, Target))
    try:
        prepared = prepare(release, target, print, patience=patience, **options)
        print(carry_out(prepared, print))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _taken(options: dict[str, Any], kind: Any) -> dict[str, Any]:
    """The options that are fields of a dataclass, taken out."""
    names = {field.name for field in dataclasses.fields(kind)} & options.keys()
    return {name: options.pop(name) for name in names}


if __name__ == "__main__":
    main()
