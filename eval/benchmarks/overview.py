"""All benchmarks at a glance, and one of them counted. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from safety_reasoning.eval.benchmarks.declaration import Declaration, load_declaration, task_names
from safety_reasoning.eval.benchmarks.item import Item
from safety_reasoning.eval.benchmarks.rules import in_words
from safety_reasoning.eval.benchmarks.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One preset of one task."""

    task: str
    preset: str
    default: bool
    subject: str
    positive_class: str
    rows: int | None
    """None: not known."""
    positives: int | None
    source: str
    revision: str
    """'': not pinned."""
    gated: bool
    page: str
    """Where a person finds the data and, of a gated set, asks for access."""
    label_rule: str
    licence: str
    citation: str
    known_from: str


def lines() -> Iterator[Line]:
    """Every preset of every task, tasks sorted, the default preset first."""
    for name in task_names():
        declared = load_declaration(name)
        for preset in sorted(declared.presets, key=lambda preset: preset != declared.default):
            yield _line(name, declared, preset)


def _line(name: str, declared: Declaration, preset: str) -> Line:
    chosen = declared.presets[preset]
    return Line(
        task=name,
        preset=preset,
        default=preset == declared.default,
        subject=declared.subject.value,
        positive_class=declared.positive_class,
        rows=chosen.rows,
        positives=chosen.positives,
        source=declared.source.repo or declared.source.url,
        revision=declared.source.revision,
        gated=declared.source.gated,
        page=declared.source.page,
        label_rule=f"{in_words(declared.label)}; {chosen.means}",
        licence=declared.licence,
        citation=declared.citation,
        known_from=declared.known_from,
    )


def markdown() -> str:
    """Two tables: what the tasks are, and how their presets read them."""
    tasks = [
        f"| `{line.task}` | {line.subject} | {_source(line)} | {line.licence} |" for line in lines() if line.default
    ]
    presets = [
        f"| `{line.task}` | `{line.preset}`{' (default)' if line.default else ''} | {_count(line.rows)} | "
        f"{_count(line.positives)} | {line.label_rule} |"
        for line in lines()
    ]
    return "\n".join(
        [
            *("| task | judged | source | licence |", "|---|---|---|---|", *tasks),
            "",
            *("| task | preset | rows | positive | rule |", "|---|---|---|---|---|", *presets),
        ]
    )


def _source(line: Line) -> str:
    pinned = f"at `{line.revision[:12]}`" if line.revision else "not pinned"
    if line.source.startswith("https://"):  # the commit is in the address
        return f"[{line.source.rpartition('/')[2]}]({line.source}), {pinned}"
    return f"[{line.source}]({line.page}), {pinned}{', gated' if line.gated else ''}"


def _count(count: int | None) -> str:
    return "not known" if count is None else f"{count:,}"


def breakdown(task: Task) -> Mapping[str, list[dict[str, Any]]]:
    """Items and positives by category and by domain, most items first; `(none)` where the row names none."""
    by: Mapping[str, Callable[[Item], str | None]] = {
        "category": lambda item: item.category,
        "domain": lambda item: item.domain,
    }
    return {name: _counted(task, of) for name, of in by.items()}


def _counted(task: Task, of: Callable[[Item], str | None]) -> list[dict[str, Any]]:
    items = Counter(of(item) or "(none)" for item in task.items)
    positives = Counter(of(item) or "(none)" for item in task.items if item.positive)
    ordered = sorted(items, key=lambda name: (-items[name], name))
    return [{"name": name, "items": items[name], "positives": positives[name]} for name in ordered]
