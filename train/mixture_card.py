"""The card of a mixture: what the Hub and `load_dataset` read of it, and what people do."""

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safety_reasoning.train.mixture_write import DATA, MixtureWriter

_MARKDOWN = re.compile(r"[|`\[\]*\\]")
_MODES = {
    "reasoning": "Every row has a trace.",
    "non_reasoning": "No row has a trace.",
    "dual": "Every other row has a trace, and each prompt says which mode is wanted.",
}


def write_card(folder: Path, stated: Mapping[str, Any], writer: MixtureWriter) -> None:
    """Write README.md of a mixture whose rows are written."""
    text = "\n".join([f"# {_cell(stated['name'])}", "", *_body(stated)])
    (folder / "README.md").write_text(f"---\n{_metadata(folder, stated, writer)}\n---\n{text}\n", encoding="utf-8")


def _metadata(folder: Path, stated: Mapping[str, Any], writer: MixtureWriter) -> str:
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        pretty_name=stated["name"],
        license=stated["license"],
        task_categories=["text-classification", "text-generation"],
        tags=["safety", "guardrails", "reasoning", "sft", "trl"],
    )
    split = SplitInfo(name="train", num_bytes=writer.arrow_bytes, num_examples=writer.rows)
    infos, configs = DatasetInfosDict(), MetadataConfigs()
    infos["default"] = DatasetInfo(
        features=Features.from_arrow_schema(writer.schema),
        splits=SplitDict({"train": split}),
        download_size=(folder / DATA).stat().st_size,
        dataset_size=writer.arrow_bytes,
    )
    configs["default"] = {"data_files": [{"split": "train", "path": "data/train-*.parquet"}]}
    infos.to_dataset_card_data(data)
    configs.to_dataset_card_data(data)
    return str(data.to_yaml())


def _body(stated: Mapping[str, Any]) -> Iterator[str]:
    yield f"{stated['rows']} prompt/completion conversations to train a guard on, in TRL's form."
    yield f"Version {stated['version']}."
    yield f"Mode `{stated['mode']}`: {_MODES[stated['mode']]} Hash of the rows: `{stated['hash']}`."
    yield from ("", "## From", "")
    yield from _table(("release", "version", "task", "rows taken", "rows usable", "traces of"), _parts(stated["parts"]))
    yield from ("", "## Counts", "")
    counts = ((name, value, rows) for name, values in stated["counts"].items() for value, rows in values.items())
    yield from _table(("column", "value", "rows"), counts)
    yield from ("", "## Left out", "", "Each of these rows is in `left_out/`, by its key and with its reason.", "")
    yield from _table(("task", "reason", "rows"), ((i["task"], i["reason"], i["rows"]) for i in stated["left_out"]))
    yield from ("", "## Held-out texts", "")
    yield from _held_out(stated["decontamination"])
    yield from ("", "Everything else (seed, mark, teachers, hashes) is in `mixture.json`.", "")
    yield f"Made with {stated['tool']['name']} {stated['tool']['version']}."


def _parts(parts: Sequence[Mapping[str, Any]]) -> Iterator[tuple[object, ...]]:
    for part in parts:
        release = part["release"]
        version = release["version"] or release["commit"] or "not stated"
        teachers = ", ".join(part["teachers"]) or "nobody"
        yield release["name"], version, part["task"], part["rows"], part["usable"], teachers


def _held_out(judged: Mapping[str, Any] | None) -> Iterator[str]:
    if judged is None:
        yield "The rows were not compared with any benchmark."
        return
    yield (
        f"Rows are left out whose text a benchmark has, to the letter or but for case and punctuation, or with which "
        f"it shares {judged['min_share']:.0%} of the {judged['ngram']}-grams of the shorter text. "
        f"{judged['rows_too_short']} rows of the mixture have fewer than {judged['ngram']} words: they equal no "
        f"benchmark text and could not be judged by n-grams (`decontamination/too_short.parquet`)."
    )
    yield ""
    head = ("benchmark", "texts", "of these too short for n-grams", "exact", "normalised", "n-gram")
    rows = (
        (b["name"], b["texts"], b["texts_too_short_for_ngrams"], *b["rows_left_out"].values())
        for b in judged["benchmarks"]
    )
    yield from _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    yield _line(head)
    yield _line(["---"] * len(head))
    yield from map(_line, rows)


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: object) -> str:
    """A value as text of a table: whatever a release put into a name stays text."""
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(" ".join(str(value).split()), quote=False))
