"""A NeMo Guardrails configuration on disk: what it configures, what is wrong with it, and a copy for loopback."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from safety_reasoning.deploy.hostile import Rail
from safety_reasoning.deploy.nemo_config import PARSERS, served_types
from safety_reasoning.deploy.nemo_shape import misshapen
from safety_reasoning.errors import UsageError

FLOWS = {
    Rail.INPUT: "content safety check input",
    Rail.OUTPUT: "content safety check output",
    Rail.TOPIC: "topic safety check input",
}
_KEYED = {"openai": "OPENAI_API_KEY", "nim": "NVIDIA_API_KEY", "nvidia_ai_endpoints": "NVIDIA_API_KEY"}
"""Engines that send a variable of the environment unasked."""


@dataclass(frozen=True, slots=True)
class NemoFolder:
    """The parts of a configuration that rails depend on."""

    path: Path
    files: dict[Path, dict[str, Any]]
    """Every YAML file with its content; NeMo reads all of them as one."""

    @property
    def models(self) -> list[dict[str, Any]]:
        """The models of all files."""
        return [model for content in self.files.values() for model in content.get("models") or []]

    @property
    def rails(self) -> dict[Rail, str]:
        """The rails that a model is asked for, each with the type of that model."""
        found: dict[str, str] = {}
        for content in self.files.values():
            found |= served_types(content)
        return {rail: found[flow] for rail, flow in FLOWS.items() if flow in found}

    def parameters(self, kind: str) -> dict[str, Any]:
        """The parameters of the model of a type."""
        return next((model.get("parameters") or {} for model in self.models if model.get("type") == kind), {})

    def prompt(self, rail: Rail) -> dict[str, Any]:
        """What the rail's task says, {} where there is none."""
        task = f"{FLOWS[rail].replace(' ', '_')} $model={self.rails[rail]}"
        prompts = [prompt for content in self.files.values() for prompt in content.get("prompts") or []]
        return next((prompt for prompt in reversed(prompts) if prompt.get("task") == task), {})

    @property
    def key_variables(self) -> list[str]:
        """Variables of the environment that hold keys."""
        return sorted({model["api_key_env_var"] for model in self.models if model.get("api_key_env_var")})


def open_nemo_folder(path: Path) -> NemoFolder:
    """Read a configuration.

    Raises: UsageError if there is none, it is no YAML, or it has none of the rails that are known here.
    """
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder", fix="give one that `export nemo` wrote")
    files = {file: _read(file) for file in sorted(path.rglob("*")) if file.suffix in (".yml", ".yaml")}
    folder = NemoFolder(path, files)
    if not folder.rails:
        raise UsageError(
            f"{path} configures no rail that asks a guard",
            why=f"its flows name none of: {', '.join(f'{flow} $model=…' for flow in FLOWS.values())}",
            fix="write the configuration with `safety-reasoning export nemo`",
        )
    topic = folder.rails.get(Rail.TOPIC)
    if topic is not None and topic in (folder.rails.get(Rail.INPUT), folder.rails.get(Rail.OUTPUT)):
        raise UsageError(
            f"{path}: content safety and topic control ask one entry of `models`",
            why="they want other answers, so their requests need other settings",
            fix="give each an entry with a type of its own",
        )
    return folder


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{file} cannot be read", why=str(error).splitlines()[0]) from error
    if content is not None and not isinstance(content, dict):
        raise UsageError(f"{file} holds no settings", fix="a configuration is a mapping: models, rails, prompts")
    if wrong := misshapen(content or {}):
        raise UsageError(f"{file} cannot be used", why=wrong, fix="correct that field")
    return content or {}


def faults(folder: NemoFolder) -> list[str]:
    """What is wrong whatever a guard answers, in words."""
    found = []
    for rail in folder.rails:
        if rail is Rail.TOPIC:
            continue
        parser, wanted = folder.prompt(rail).get("output_parser"), PARSERS[FLOWS[rail]]
        if parser != wanted:
            said = "is missing" if parser is None else f"is {parser!r}"
            found.append(
                f"{FLOWS[rail]}: output_parser {said}; NeMo takes an unknown one for none, lets everything pass, and "
                f"IORails does not see parsers of a config.py. It must be {wanted}"
            )
    for model in folder.models:
        if "api_key" in (model.get("parameters") or {}):
            found.append(f"model {model.get('type')}: a key is written in the file; name a variable: api_key_env_var")
        variable = _KEYED.get(str(model.get("engine")))
        if variable and not model.get("api_key_env_var") and (model.get("parameters") or {}).get("base_url"):
            found.append(f"model {model.get('type')}: engine {model['engine']} sends {variable} to its base_url")
    return found


def copy_for(folder: NemoFolder, out: Path, *, url: str, timeout_s: float) -> Path:
    """The same configuration, its models at another address, each asked for by its type."""
    shutil.copytree(folder.path, out)
    for file, content in folder.files.items():
        if not content.get("models"):
            continue
        models = [_moved(model, url, timeout_s) for model in content["models"]]
        text = yaml.safe_dump(content | {"models": models}, sort_keys=False, allow_unicode=True)
        (out / file.relative_to(folder.path)).write_text(text, encoding="utf-8")
    return out


def _moved(model: dict[str, Any], url: str, timeout_s: float) -> dict[str, Any]:
    parameters = {k: v for k, v in (model.get("parameters") or {}).items() if k not in ("model", "model_name")}
    return model | {
        "model": model.get("type"),
        "parameters": parameters | {"base_url": url, "timeout": timeout_s},
    }
