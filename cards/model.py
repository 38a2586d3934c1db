"""The card of a guard: Hub metadata and text, made from its training.json and metrics.json alone."""

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from safety_reasoning import templates

_ROWS = {"sft": "conversation", "dpo": "pair of answers", "grpo": "prompt"}
_IN_A_STEP = {"sft": "rows", "dpo": "pairs", "grpo": "roll-outs"}
"""What a method trains on, and what its batches hold."""
_MARKDOWN = re.compile(r"[|`\[\]*\\]")


def render_model_card(training: Mapping[str, Any], metrics: Mapping[str, Any] | None) -> str:
    """README.md of a guard; `metrics` is None where nobody evaluated it."""
    environment = templates.environment(Path(__file__).parent)
    environment.filters["cell"] = _cell
    text = environment.get_template("model_card.md.j2").render(
        t=training,
        base=_base(training["base"]),
        repo="OWNER/NAME",
        rows=_rows(training),
        in_a_step="packed sequences" if training["recipe"]["packing"] else _IN_A_STEP[training["method"]],
        switch=training["switch"],
        topics="topic_control" in (training["mixture"]["counts"] or {}).get("task", {}),
        metrics=metrics,
    )
    return f"---\n{_metadata(training)}\n---\n{text}"


def _metadata(training: Mapping[str, Any]) -> str:
    """The YAML block that the Hub reads."""
    from huggingface_hub import ModelCardData

    release = training["release"]
    releases = release if isinstance(release, list) else [release]
    trained_on = list(dict.fromkeys(one["repo"] for one in releases if one["repo"]))
    data = ModelCardData(
        base_model=training["base"]["repo"],
        datasets=trained_on or None,
        language="en",
        library_name="transformers",
        license=training["license"],
        pipeline_tag="text-generation",
        tags=["safety", "guardrails", "content-safety", "reasoning", "trl", training["method"]],
    )
    return str(data.to_yaml())


def _rows(training: Mapping[str, Any]) -> str:
    noun, _, rest = _ROWS[training["method"]].partition(" ")
    return f"{noun}{'' if training['lengths']['rows'] == 1 else 's'} {rest}".rstrip()


def _base(base: Mapping[str, Any]) -> str:
    below = base["repo"] or "a model without a repository"
    return f"{base['guard']['name']} {base['guard']['version']}, a guard from {below}" if base["guard"] else below


def _cell(value: object) -> Markup:
    """A value as one cell of a table: whatever a release or a model put into a name stays text."""
    line = html.escape(" ".join(str(value).split()), quote=False)
    return Markup(_MARKDOWN.sub(r"\\\g<0>", line))  # noqa: S704 - escaped here
