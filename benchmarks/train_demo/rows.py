"""Real labelled prompts, split so that no source tells the label, and mixtures made of them.

The folder that SAFETY_REASONING_DATA names holds Aegis 2.0, XSTest and OpenAI Moderation rows in their upstream
formats; without it the project's own sample is taken. From each source as many harmful as harmless prompts are taken,
so that a guard that recognises only where a prompt is from is right half of the time.
"""

import csv
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from safety_reasoning.builders.samples import digest
from safety_reasoning.train.conversations import Mark
from safety_reasoning.train.mixture_stated import write_stated
from safety_reasoning.train.mixture_write import MixtureWriter

MARK = Mark(place="suffix", on="/think", off="/no_think")
PROMPT = "Human user:\n\n{prompt}\n\nIs the request harmful?"
"""Shorter than the paper's (Appendix H.3), whose 500 tokens of taxonomy would take all of the time on a CPU."""
MAX_WORDS = 50
"""Longer prompts are left out: those of up to 80 words alone would take a quarter of the time."""
HELD_OUT = 0.3
"""Share of each source and label that is not trained on."""
_HARMS = {
    "S": "sexual content",
    "H": "hate",
    "V": "violence",
    "HR": "harassment",
    "SH": "self-harm",
    "S3": "sexual content with minors",
    "H2": "threatening hate",
    "V2": "graphic violence",
}
_XSTEST = {
    "homonyms": "The alarming word has a harmless meaning here.",
    "figurative_language": "The alarming word is a figure of speech.",
    "safe_targets": "Nobody would be hurt.",
    "safe_contexts": "It is about a game or a story.",
    "definitions": "It asks what a word means.",
    "nons_group_real_discr": "The group is not one of people.",
    "real_group_nons_discr": "The discrimination is nonsense.",
    "historical_events": "It asks about history.",
    "privacy_public": "What it asks for is public.",
    "privacy_fictional": "It asks about a fictional person.",
    "contrast_discr": "It falls under hate.",
    "contrast_historical_events": "It falls under hate.",
    "contrast_privacy": "It falls under privacy.",
}
"""What its annotators' `type` says of a prompt; every other type is a request for violence or crime."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled prompt."""

    source: str
    prompt: str
    harmful: bool
    trace: str
    """One sentence made from the category that the annotators gave; no teacher wrote it."""


@dataclass(frozen=True, slots=True)
class Split:
    """What is trained on, and what is not."""

    train: Sequence[Row]
    held_out: Sequence[Row]


def read_split(data: Path | None, sample: Path, *, seed: int) -> Split:
    """The rows of the folder, or of the project's own sample, each text once, balanced within each source."""
    rows = list(_distinct(_sample(sample) if data is None else _real(data)))
    train: list[Row] = []
    held_out: list[Row] = []
    for source in sorted({row.source for row in rows}):
        labels = [[row for row in rows if row.source == source and row.harmful is harmful] for harmful in (True, False)]
        for label in labels:
            random.Random(seed).shuffle(label)  # noqa: S311 - chooses rows, no secret
        size = min(map(len, labels))
        aside = round(size * HELD_OUT)
        for label in labels:
            held_out += label[:aside]
            train += label[aside:size]
    random.Random(seed).shuffle(train)  # noqa: S311
    return Split(train, held_out)


def write_demo_mixture(folder: Path, rows: Sequence[Row], *, dual: bool) -> None:
    """A mixture of the rows in the short prompt; dual: every other one has its trace, and each says its mode."""
    folder.mkdir(parents=True)
    mark = MARK if dual else None
    with MixtureWriter(folder, mark) as writer:
        for number, row in enumerate(rows):
            writer.add(_mixture_row(row, reasoning=dual and number % 2 == 1, mark=mark))
    stated = {
        "format": 1,
        "name": f"Demo, {'two modes' if dual else 'without reasoning'}",
        "version": "0.1.0",
        "hash": writer.hash,
        "rows": writer.rows,
        "mode": "dual" if dual else "non_reasoning",
        "trace": "efficient",
        "mark": None if mark is None else {"place": mark.place, "on": mark.on, "off": mark.off},
        "prompt": PROMPT,
        "parts": [],
        "counts": {name: dict(sorted(counter.items())) for name, counter in writer.counts.items()},
    }
    write_stated(folder, stated)


def question(prompt: str, *, mark: Mark | None, reasoning: bool) -> str:
    """What the guard is asked about a prompt."""
    text = PROMPT.replace("{prompt}", prompt)
    return text if mark is None else mark.put(text, "reasoning" if reasoning else "non_reasoning")


def _mixture_row(row: Row, *, reasoning: bool, mark: Mark | None) -> dict[str, object]:
    harm = "harmful" if row.harmful else "unharmful"
    trace = f"<think>\n{row.trace}\n</think>\n\n" if reasoning else ""
    answer = f"{trace}Prompt harm: {harm}\n\nResponse harm: None"
    return {
        "key": digest([row.source, row.prompt]),
        "task": "content_safety",
        "mode": "reasoning" if reasoning else "non_reasoning",
        "teacher": "annotators" if reasoning else None,
        "prompt": [{"role": "user", "content": question(row.prompt, mark=mark, reasoning=reasoning)}],
        "completion": [{"role": "assistant", "content": answer}],
        "prompt_harm": harm,
        "response_harm": None,
        "topic": None,
    }


def _distinct(rows: Iterable[Row]) -> Iterator[Row]:
    """Each text once, whatever its case and punctuation; neither empty nor redacted nor long."""
    seen: set[str] = set()
    for row in rows:
        normal = re.sub(r"\W+", " ", row.prompt.lower()).strip()
        if normal and normal != "redacted" and normal not in seen and len(row.prompt.split()) <= MAX_WORDS:
            seen.add(normal)
            yield replace(row, prompt=row.prompt.strip())


def _real(data: Path) -> Iterator[Row]:
    yield from _aegis(data / "aegis-2.0" / "train.json", "Aegis")
    with (data / "benchmarks" / "xstest_prompts.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            trace = _XSTEST.get(row["type"], "It falls under violence or crime.")
            yield Row("XSTest", row["prompt"], row["label"] == "unsafe", trace)
    path = data / "benchmarks" / "openai_moderation_samples.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        found = [name for key, name in _HARMS.items() if said.get(key) == 1]
        yield Row("OpenAI Moderation", said["prompt"], bool(found), _trace(" and ".join(found[:2]), bool(found)))


def _sample(sample: Path) -> Iterator[Row]:
    yield from _aegis(sample / "aegis-2.0" / "train.json", "sample")


def _aegis(path: Path, source: str) -> Iterator[Row]:
    for row in json.loads(path.read_text(encoding="utf-8")):
        harmful = row["prompt_label"] == "unsafe"
        category = str(row["violated_categories"]).partition(",")[0].lower()
        yield Row(source, row["prompt"], harmful, _trace(category, harmful))


def _trace(category: str, harmful: bool) -> str:
    if not harmful:
        return "It falls under none of the categories."
    return f"It falls under {category or 'another harm'}."
