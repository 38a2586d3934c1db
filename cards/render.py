"""The dataset card: Hub metadata and text, both made from the manifest and the schemas alone."""

import html
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from safety_reasoning import templates
from safety_reasoning.schemas.columns import Task
from safety_reasoning.schemas.features import features
from safety_reasoning.schemas.record import Schema, record_schema

CARD = "README.md"
"""The card's file in a release."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MARKDOWN = re.compile(r"[|`\[\]*\\]")
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_OF_A_VERSION = (
    re.compile(r"(?m)^version: \S+\n"),
    re.compile(r"(?<=, version )\d+\.\d+\.\d+(?=: )"),
    re.compile(r"(?ms)^## Changelog\n.*?(?=^## |\Z)"),
)
"""What a version alone puts into a card: its line of metadata, its number in the first sentence, its notes."""
_TITLES = {Task.CONTENT_SAFETY: "Content safety", Task.TOPIC_CONTROL: "Topic control"}


def render_card(manifest: dict[str, Any]) -> str:
    """README.md of the release that the manifest describes."""
    environment = templates.environment(Path(__file__).parent)
    environment.filters |= {"cell": _cell, "percent": _percent, "prose": _prose}
    text = environment.get_template("dataset_card.md.j2").render(
        m=manifest,
        configs={task: manifest["configs"][task] for task in Task if task in manifest["configs"]},
        titles=_TITLES,
        fields={task: _fields(_schema(task, manifest)) for task in Task if task in manifest["configs"]},
        repo=manifest["repo"] or "OWNER/NAME",
        embedded=[t for t in manifest["teachers"] if t["engine"] == "embedded"],
    )
    return f"---\n{_metadata(manifest)}\n---\n{text}"


def without_version(card: str) -> str:
    """The card without what a version alone changes, so that two versions can be compared."""
    for part in _OF_A_VERSION:
        card = part.sub("", card, count=1)
    return card


def prose(text: str) -> str:
    """A sentence of Markdown of which code spans are kept and all other markup is escaped."""
    line = " ".join(text.split())
    pieces, end = [], 0
    for span in _CODE_SPAN.finditer(line):
        pieces += [_escaped(line[end : span.start()]), span[0]]
        end = span.end()
    return "".join([*pieces, _escaped(line[end:])])


def _escaped(line: str) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(line, quote=False))


def _schema(task: Task, manifest: dict[str, Any]) -> Schema:
    return record_schema(task, manifest["configs"][task]["teachers"], manifest["columns"])


def _fields(schema: Schema) -> list[tuple[str, str, str]]:
    """(name, type, meaning) of every column, as the schema says."""
    rows = []
    for name, of in schema["properties"].items():
        kinds = [of["type"]] if isinstance(of["type"], str) else of["type"]
        rows.append((name, " or ".join(kinds), of["description"]))
    return rows


def _metadata(manifest: dict[str, Any]) -> str:
    """The YAML block that the Hub and `load_dataset` read."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    total = sum(config["records"] for config in manifest["configs"].values())
    data = DatasetCardData(
        pretty_name=manifest["name"],
        license=manifest["license"],
        language=manifest["language"],
        task_categories=["text-classification", "text-generation"],
        tags=["safety", "guardrails", "content-safety", "topic-control", "reasoning", "reasoning-traces"],
        version=manifest["version"],
        size_categories=[next((name for limit, name in _SIZES if total < limit), "n>1M")],
    )
    infos, configs = DatasetInfosDict(), MetadataConfigs()
    for name, config in manifest["configs"].items():
        split = SplitInfo(name="train", num_bytes=config["arrow_bytes"], num_examples=config["records"])
        infos[name] = DatasetInfo(
            config_name=name,
            features=features(_schema(Task(name), manifest)),
            splits=SplitDict({"train": split}),
            download_size=config["parquet_bytes"],
            dataset_size=config["arrow_bytes"],
        )
        configs[name] = {"data_files": [{"split": "train", "path": f"data/{name}/train-*.parquet"}]}
    configs[next(iter(manifest["configs"]))]["default"] = True
    infos.to_dataset_card_data(data)
    configs.to_dataset_card_data(data)
    return str(data.to_yaml())


def _cell(value: object) -> Markup:
    """A value as one cell of a table: whatever a source put into a name stays text."""
    return Markup(_escaped(" ".join(str(value).split())))  # noqa: S704 - escaped here


def _prose(text: str) -> Markup:
    return Markup(prose(text))  # noqa: S704 - escaped there


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{share:.1%}"
