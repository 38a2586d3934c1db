"""NeMo Guardrails in a process of its own: its fastembed wants huggingface-hub below 2, this project 2 or later."""

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safety_reasoning.errors import UsageError

_RUNNER = Path(__file__).with_name("nemo_runner.py")
_VERSION = "import importlib.metadata; print(importlib.metadata.version('nemoguardrails'))"
_LIMIT_S = 600
INSTALL = "python3 -m venv nemo && nemo/bin/pip install nemoguardrails==0.24.1, then give --python nemo/bin/python"


def nemo_python(python: Path | None) -> Path:
    """The interpreter that has nemoguardrails: the one given, or this one.

    Raises: UsageError if it has none.
    """
    if python is None:
        if importlib.util.find_spec("nemoguardrails") is None:
            raise UsageError(
                "nemoguardrails is not installed",
                why="it cannot be, beside this package: its fastembed needs huggingface-hub < 2, this package >= 2",
                fix=INSTALL,
            )
        return Path(sys.executable)
    python = python.absolute()  # not resolved: that would leave a virtual environment
    try:
        done = subprocess.run([python, "-I", "-c", _VERSION], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise UsageError(f"{python} cannot be run", why=error.strerror or "", fix=INSTALL) from error
    if done.returncode:
        raise UsageError(f"the environment of {python} has no nemoguardrails", fix=INSTALL)
    return python


async def run_rails(python: Path, batches: list[dict[str, Any]], key_variables: Iterable[str]) -> dict[str, Any]:
    """What the runner finds; the process sees no variable of this one but PATH, so no key can leave.

    Raises: UsageError if it ends badly or does not end.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch, "asked.json"), Path(scratch, "answered.json")
        asked.write_text(json.dumps({"batches": batches}), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(str(python), str(_RUNNER), str(asked), str(answered)),
            cwd=scratch,
            env=_environment(scratch, key_variables),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), _LIMIT_S)
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise UsageError(f"nemoguardrails did not end within {_LIMIT_S} s") from error
        if process.returncode or not answered.is_file():
            lines = said.decode("utf-8", "replace").strip().splitlines()
            raise UsageError(f"{python} could not run nemoguardrails", why=lines[-1] if lines else "it said nothing")
        found: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
        return found


def _environment(home: str, key_variables: Iterable[str]) -> dict[str, str]:
    quiet = {"NEMO_GUARDRAILS_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    keys = dict.fromkeys(key_variables, "verify-nemo")
    return {"PATH": os.environ.get("PATH", ""), "HOME": home} | quiet | keys
