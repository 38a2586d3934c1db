"""Trainings of tiny guards in tests: their recipes, what they say, and what came of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safety_reasoning.builders.progress import Silent
from safety_reasoning.train.metrics import read_metrics


class Watching(Silent):
    """Keeps what a training tells."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps: list[tuple[int, int, str]] = []

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def step(self, done: int, of: int, note: str) -> None:
        self.steps.append((done, of, note))


def write_training(folder: Path, table: str, *, base: str, settings: Mapping[str, Any]) -> Path:
    """A recipe of the table [sft], [dpo] or [grpo]; `settings` has `out`, which also names the file."""
    lora = settings.get("lora")
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name != "lora"]
    if lora is not None:
        lines += [f"[{table}.lora]", *(f"{name} = {json.dumps(value)}" for name, value in lora.items())]
    path = folder / f"{settings['out']}.toml"
    path.write_text(
        f'[model]\nbase = "./{base}"\nname = "Tiny"\nlicense = "apache-2.0"\n[{table}]\n' + "\n".join(lines) + "\n",
        encoding="utf-8",
    )
    return path


def curve(run: Path, name: str = "loss") -> list[float]:
    """A metric of a run's folder, step by step."""
    return [line[name] for line in read_metrics(run / "metrics.jsonl")]


def tensors(folder: Path) -> dict[str, Any]:
    """The weights of a model's folder."""
    from safetensors.torch import load_file

    found: dict[str, Any] = load_file(folder / "model.safetensors")
    return found
