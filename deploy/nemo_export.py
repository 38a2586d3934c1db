"""Writes a NeMo Guardrails configuration: config.yml, prompts.yml, and export.json that says what it was made from."""

import dataclasses
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from safety_reasoning.deploy.nemo_config import Wanted, config_yaml, prompts_yaml
from safety_reasoning.place import replaced

STATED = "export.json"
CONFIG, PROMPTS = "config.yml", "prompts.yml"
READ_IN = "0.24.1"
"""The nemoguardrails whose code and behaviour this was made after."""


def export_nemo(wanted: Wanted, out: Path) -> dict[str, Any]:
    """Replace the folder with the configuration; what export.json states.

    Raises: UsageError if the folder holds anything else, or cannot be written.
    """
    stated = _stated(wanted)
    with replaced(out, marker=STATED, what="NeMo Guardrails configuration") as folder:
        (folder / CONFIG).write_text(_head(wanted) + as_yaml(config_yaml(wanted)), encoding="utf-8")
        (folder / PROMPTS).write_text(as_yaml(prompts_yaml(wanted)), encoding="utf-8")
        text = json.dumps(stated, indent=1, ensure_ascii=False)
        (folder / STATED).write_text(text + "\n", encoding="utf-8")
    return stated


def _stated(wanted: Wanted) -> dict[str, Any]:
    guard = wanted.guard
    return {
        "format": 1,
        "guard": {"name": guard.name, "version": guard.version, "mode": guard.mode},
        "reasoning": wanted.reasoning,
        "constrained": wanted.constrain,
        "topic": wanted.prompts.topic is not None,
        "max_tokens": dataclasses.asdict(wanted.allowance),
        "prompts": wanted.prompts.files,
        "nemoguardrails": READ_IN,
        "safety-reasoning": version("safety-reasoning"),
    }


def _head(wanted: Wanted) -> str:
    lines = [
        f"Made by `safety-reasoning export nemo` for nemoguardrails {READ_IN}; {STATED} says from what.",
        f"max_tokens of content safety: {wanted.allowance.reason}.",
        "What these rails let through although it is no harmless verdict: `safety-reasoning verify nemo FOLDER`.",
    ]
    return "".join(f"# {line}\n" for line in lines)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that prompts can be read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if any(sign in text for sign in "\x85\u2028\u2029"):
        style = '"'  # line breaks that YAML would read as others, unless they are escaped
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(content: dict[str, Any]) -> str:
    """The content as a YAML file that reads back to it, whatever its texts hold."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
