"""Runs rails of NeMo Guardrails on messages: a script for the interpreter of an environment that has nemoguardrails.

It stands alone, on the standard library and nemoguardrails: that package cannot be installed beside this one. It reads
a JSON document from the file named first and writes one to the file named second; see `nemo_verify`.
"""

import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

AT_ONCE = 8


async def run(batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Each batch, `{"folder", "jobs"}`, through each engine; a job is `{"number", "rail", "messages"}`.

    The result has, by engine, `{"refused": why or None, "outcomes": {number: outcome}}`.
    """
    nemo = importlib.import_module("nemoguardrails")
    engines: dict[str, Callable[[Any], Any]] = {
        "LLMRails": lambda config: importlib.import_module("nemoguardrails.rails").LLMRails(config),
        "IORails": lambda config: nemo.Guardrails(config, require_iorails=True),
    }
    found: dict[str, Any] = {}
    for name, make in engines.items():
        found[name] = {"refused": None, "outcomes": {}}
        for batch in batches:
            try:
                engine = make(nemo.RailsConfig.from_path(batch["folder"]))
            except Exception as error:  # a configuration may be refused in many ways, all of them are told
                found[name]["refused"] = f"{type(error).__name__}: {error}"
                break
            found[name]["outcomes"] |= await _checked(engine, batch["jobs"])
            if name == "IORails":
                await engine.shutdown()
    return {"version": version("nemoguardrails"), "engines": found}


async def _checked(engine: Any, jobs: list[dict[str, Any]]) -> dict[str, str]:
    rail_type = importlib.import_module("nemoguardrails.rails.llm.options").RailType
    room = asyncio.Semaphore(AT_ONCE)

    async def check(job: dict[str, Any]) -> tuple[str, str]:
        async with room:
            try:
                result = await engine.check_async(job["messages"], rail_types=[rail_type(job["rail"])])
            except Exception:  # whatever it is, the caller gets no answer, and nothing passed
                return str(job["number"]), "raises"
            return str(job["number"]), "blocks" if result.status.value == "blocked" else "passes"

    return dict(await asyncio.gather(*map(check, jobs)))


if __name__ == "__main__":
    asked, answered = map(Path, sys.argv[1:])
    outcome = asyncio.run(run(json.loads(asked.read_text(encoding="utf-8"))["batches"]))
    answered.write_text(json.dumps(outcome), encoding="utf-8")
