"""What mining found, counted: by how often rows are right, and what of their labels goes with it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from safety_reasoning.train.mine_facts import Facts
from safety_reasoning.train.mine_outcome import Outcome
from safety_reasoning.train.mine_samples import Kind, Sample

Report = dict[str, Any]
"""JSON values."""
_NONE = "none"


def count(samples: Sequence[Sample], keep: tuple[int, int], facts: Mapping[str, Facts]) -> Report:
    """The counts of all samples; `facts` are by key, and empty where no release was read."""
    judged = [sample for sample in samples if sample.judged]
    kinds = Counter(sample.kind(keep) for sample in samples)
    outcomes = sum((sample.outcomes for sample in samples), Counter[Outcome]())
    asked = max((len(sample.generations) for sample in samples), default=0)
    by: dict[str, dict[str, Counter[int]]] = {}
    for sample in judged:
        for name, value in _values(sample, facts.get(sample.row.key)):
            by.setdefault(name, {}).setdefault(value, Counter())[sample.correct] += 1
    return {
        "rows": len(samples),
        "generations": asked,
        "keep": list(keep),
        "kinds": {str(kind): kinds[kind] for kind in Kind},
        "right": _spread(Counter(sample.correct for sample in judged), asked),
        "outcomes": {str(outcome): outcomes[outcome] for outcome in Outcome},
        "tokens": sum(one.tokens for sample in samples for one in sample.generations),
        "by": {name: {value: _spread(by[name][value], asked) for value in sorted(by[name])} for name in sorted(by)},
        "always_wrong": _always_wrong([sample for sample in judged if sample.correct == 0]),
        "not_in_releases": sum(sample.row.key not in facts for sample in samples) if facts else None,
    }


def _values(sample: Sample, facts: Facts | None) -> Iterator[tuple[str, str]]:
    """(name, value) of everything that a row is counted by; a row has one value for each, or several categories."""
    labels = sample.row.labels
    yield "task", str(labels.task)
    yield "mode", sample.row.mode
    for name in ("prompt_harm", "response_harm", "topic"):
        value = getattr(labels, name)
        if value is not None:
            yield name, value
    if facts is None:
        return
    for category in facts.categories or (_NONE,):
        yield "category", category
    for teacher, said in facts.teachers:
        yield f"verdict of {teacher}", said


def _spread(counts: "Counter[int]", asked: int) -> dict[str, int]:
    """Rows by how many of their generations are right, from 0 to all."""
    return {str(right): counts[right] for right in range(asked + 1)}


def _always_wrong(samples: Iterable[Sample]) -> Report:
    """What the guard says where it is never right; one verdict every time speaks for a wrong label."""
    rows, said = 0, Counter[str]()
    for sample in samples:
        rows += 1
        if (verdict := sample.unanimous) is not None:
            said[f"{_gold(sample)} is labelled, {verdict} is said"] += 1
    return {"rows": rows, "unanimous": sum(said.values()), "said": dict(sorted(said.items()))}


def _gold(sample: Sample) -> str:
    labels = sample.row.labels
    return labels.topic or f"{labels.prompt_harm}/{labels.response_harm}"


def in_words(report: Report) -> str:
    """The report as text: a table a line of counts, values of releases as plain characters."""
    asked, kinds, rows = report["generations"], report["kinds"], report["rows"]
    low, high = report["keep"]
    head = (
        f"{rows} rows, {asked} generations each, {report['tokens']} tokens",
        f"difficult (right {low} to {high} times): {_of(kinds['difficult'], rows)}",
        f"always wrong: {_of(kinds['always_wrong'], rows)}, of these "
        f"{report['always_wrong']['unanimous']} with one verdict every time",
        f"not judged: {kinds['not_judged']}",
        "generations: " + ", ".join(f"{n} {outcome}" for outcome, n in report["outcomes"].items() if n),
    )
    parts = ["\n".join(head), _table("right of " + str(asked), {"rows": report["right"]})]
    parts += [_table(name, values) for name, values in report["by"].items()]
    said = report["always_wrong"]["said"]
    if said:
        lines = [f"{n:>8}  {_plain(text)}" for text, n in sorted(said.items(), key=lambda one: (-one[1], one[0]))]
        parts.append("\n".join(["always wrong, with one verdict every time", *lines]))
    if report["not_in_releases"]:
        parts.append(f"{report['not_in_releases']} rows are in none of the releases that were read")
    return "\n\n".join(parts) + "\n"


def _of(count: int, rows: int) -> str:
    return f"{count} ({count / rows:.1%})" if rows else str(count)


def _table(name: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    width = max(len(_plain(text)) for text in (name, *rows))
    columns = next(iter(rows.values()))
    lines = [f"{_plain(name):<{width}}" + "".join(f"{column:>9}" for column in columns)]
    lines += [
        f"{_plain(value):<{width}}" + "".join(f"{n:>9}" for n in counts.values()) for value, counts in rows.items()
    ]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """One line without control characters: categories are whatever a release says."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))[:80]
