"""Guard folders as training writes them, without weights; runs with given lengths; NeMo's and vLLM's interpreters."""

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from typer.testing import CliRunner

from safety_reasoning.deploy_verbs import app
from safety_reasoning.eval.runs.folder import write_run
from safety_reasoning.eval.runs.rows import SCHEMA
from tests.conftest import ROOT

SUFFIX = {"place": "suffix", "on": "/think", "off": "/no_think"}
NO_NEMO = (
    "nemoguardrails is not installed: it cannot be beside huggingface-hub 2, so it has an environment of its own; "
    "`make .venv/nemo/installed`, or NEMO_PYTHON=/path/to/python"
)


def verb(*arguments: str | Path) -> str:
    """What a verb of deployment prints, run in this process.

    Raises: UsageError as the verb does.
    """
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def nemo_python() -> Path | None:
    """The interpreter of an environment with nemoguardrails: of NEMO_PYTHON, or of the project's second one."""
    named, beside = os.environ.get("NEMO_PYTHON"), ROOT / ".venv" / "nemo" / "bin" / "python"
    if named:
        return Path(named)
    return beside if beside.exists() else None


def vllm_python() -> Path | None:
    """The interpreter of an environment with vLLM: this one, or that of VLLM_PYTHON."""
    if importlib.util.find_spec("vllm"):
        return Path(sys.executable)
    named = os.environ.get("VLLM_PYTHON")
    return Path(named) if named else None


def write_guard(folder: Path, mode: str = "dual", *, switch: dict[str, str] | None = None, **changes: Any) -> Path:
    """A guard's folder: what it states of its training, and of its model."""
    folder.mkdir(parents=True)
    stated = {
        "format": 1,
        "name": "A guard, small",
        "version": "1.2.3",
        "mixture": {"mode": mode},
        "switch": switch,
        "enable_thinking": True if mode == "dual" else None,
    }
    (folder / "training.json").write_text(json.dumps(stated | changes), encoding="utf-8")
    config = {"model_type": "gemma3", "text_config": {"max_position_embeddings": 4096}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def write_lengths(
    folder: Path, lengths: Sequence[tuple[int, int]], *, status: str = "ok", cut: int = 0, model: str = "a-guard-small"
) -> Path:
    """A run with a reply for each (tokens of the trace, tokens of the answer), the first `cut` of them cut off."""
    row = dict.fromkeys(SCHEMA) | {"task": "t", "generation": 0, "subject": "prompt", "positive": True, "chars": 1}
    rows = [
        row
        | {"item": f"{n:032x}", "status": "truncated" if n < cut else status}
        | {"trace_tokens": trace, "answer_tokens": answer}
        for n, (trace, answer) in enumerate(lengths)
    ]
    write_run(folder, {"guard": "ours", "model": model}, pl.DataFrame(rows, schema=SCHEMA))
    return folder
