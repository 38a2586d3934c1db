"""The verbs of review: the page on which people mark traces, how far they agree, and their marks as a file."""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safety_reasoning.errors import UsageError

if TYPE_CHECKING:
    from safety_reasoning.review.agreement import Against
    from safety_reasoning.review.agreement_marks import Agreement, Between, Score
    from safety_reasoning.review.page_server import Shown

app = typer.Typer()

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a TOML file.", metavar="RECIPE")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout.")]
_SAY_EVERY_S = 10.0


@app.command()
def review(
    recipe: RecipeArgument,
    count: Annotated[int, typer.Option(min=1, help="Read so many traces.")] = 100,
    teacher: Annotated[list[str] | None, typer.Option(help="Of this teacher; may be given again.")] = None,
    step: Annotated[list[str] | None, typer.Option(help="Of this step: full, efficient-1, …")] = None,
    reason: Annotated[
        list[str] | None, typer.Option(help="Whose first reason is this: label_leak, judge_unfounded, …, kept.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other traces.")] = 0,
    blind: Annotated[bool, typer.Option("--blind", help="Never show what the filters and the judge found.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show it at once, not only after the mark.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 8760,
) -> None:
    """Serve a page on loopback on which people mark what is wrong with sampled traces; Ctrl-C ends it."""
    from safety_reasoning.builders.recipe import load_recipe
    from safety_reasoning.review.page_open import sample_of, serve
    from safety_reasoning.review.sample import Choice

    if blind and show:
        raise UsageError("--blind and --show exclude each other", fix="leave one of them out")
    loaded = load_recipe(recipe)
    choice = Choice(
        count=count,
        seed=seed,
        teachers=frozenset(teacher or ()),
        steps=frozenset(step or ()),
        reasons=frozenset(reason or ()),
    )
    _say("reading sources and traces …")
    traces = sample_of(loaded, choice, _Counter().seen)
    strata = len({drawn.stratum for drawn in traces.values()})
    _say(f"{len(traces)} traces of {strata} strata")
    shown: Shown = "never" if blind else "at_once" if show else "after"
    serve(loaded, traces, shown, port, _ready)
    _say("stopped; every saved mark is in the store")


def _ready(address: str) -> None:
    _say("open this address; Ctrl-C ends the review")
    print(address, flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Counter:
    """Says now and then how many traces were looked at."""

    def __init__(self) -> None:
        self._said_s = time.monotonic()

    def seen(self, number: int) -> None:
        if time.monotonic() - self._said_s > _SAY_EVERY_S:
            self._said_s = time.monotonic()
            _say(f"{number} traces so far …")


@app.command("review-agreement")
def review_agreement(recipe: RecipeArgument, as_json: JsonOption = False) -> None:
    """How far reviewers agree, and the filters and the judge with them."""
    from safety_reasoning.builders.recipe import load_recipe
    from safety_reasoning.builders.sources.load import load_sources
    from safety_reasoning.builders.store import view_store
    from safety_reasoning.review.agreement_marks import agreement

    loaded = load_recipe(recipe)
    with view_store(Path(loaded.release.store)) as store:
        found = agreement(loaded, load_sources(loaded.sources).samples, store)
    if as_json:
        print(json.dumps(_document(found), ensure_ascii=True))
        return
    for line in _lines(found):
        print(line)


@app.command("review-export")
def review_export(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.", metavar="OUT")],
) -> None:
    """Write the reviewers' marks to one Parquet file, sorted by reviewer and key."""
    from safety_reasoning.builders.recipe import load_recipe
    from safety_reasoning.builders.sources.load import load_sources
    from safety_reasoning.builders.store import view_store
    from safety_reasoning.review.agreement_marks import marked
    from safety_reasoning.review.export import write_marks

    loaded = load_recipe(recipe)
    with view_store(Path(loaded.release.store)) as store:
        traces = marked(loaded, load_sources(loaded.sources).samples, store)
    print(f"{write_marks(out, traces)} marks on {len(traces)} traces, in {out}")


def _document(found: "Agreement") -> dict[str, Any]:
    return {
        "traces": found.traces,
        "reviewers": found.reviewers,
        "seen": found.seen,
        "unreached": found.unreached,
        "between_reviewers": [_between(one) for one in found.between],
        "against_the_marks": [_score(one) for one in found.scores],
    }


def _between(one: "Between") -> dict[str, Any]:
    pairs = [
        {"reviewers": list(pair), "kappa": kappa.value, "traces": kappa.items, "agreed": kappa.agreed}
        for pair, kappa in one.kappas.items()
    ]
    return {"mode": one.mode, "alpha": one.alpha.value, "traces": one.alpha.items, "pairs": pairs}


def _score(one: "Score") -> dict[str, Any]:
    return {
        "finder": one.finder,
        "mode": one.mode,
        "ties": one.ties,
        "read": _against(one.read),
        "weighted": _against(one.weighted),
    }


def _against(sums: "Against") -> dict[str, float | None]:
    return {
        "hits": sums.hits,
        "false_alarms": sums.false_alarms,
        "misses": sums.misses,
        "passes": sums.passes,
        "unjudged": sums.unjudged,
        "precision": sums.precision,
        "recall": sums.recall,
    }


def _lines(found: "Agreement") -> Iterable[str]:
    if not found.traces:
        yield "no trace is marked yet: begin with `safety-reasoning review`"
        return
    people = ", ".join(f"{name} {count}" for name, count in found.reviewers.items())
    yield f"{found.traces} traces are marked: {people}"
    if found.seen:
        yield f"{found.seen} marks were made with the filters' and the judge's findings in sight"
    if found.unreached:
        yield f"{found.unreached} marked traces are out of the recipe's reach: only reviewers are compared on them"
    if found.between:
        yield from ("", "reviewers with each other")
        yield from _columns([("mode", "reviewers", "measure", "value", "traces"), *_agreed(found.between)])
    if found.scores:
        yield from ("", "filters and judge against the marks; in brackets, weighted to all traces of the strata read")
        yield from _columns([_HEAD, *(_cells(score) for score in found.scores)])


def _agreed(between: "tuple[Between, ...]") -> Iterable[tuple[str, ...]]:
    for one in between:
        yield one.mode, "all", "Krippendorff's alpha", _rate(one.alpha.value), str(one.alpha.items)
        for (first, second), kappa in one.kappas.items():
            yield one.mode, f"{first}, {second}", "Cohen's kappa", _rate(kappa.value), str(kappa.items)


_HEAD = ("by", "mode", "hits", "false alarms", "misses", "ties", "unjudged", "precision", "recall")


def _cells(score: "Score") -> tuple[str, ...]:
    read, weighted = score.read, score.weighted
    counts = (read.hits, read.false_alarms, read.misses, score.ties, read.unjudged)
    return (
        score.finder,
        score.mode,
        *(f"{count:.0f}" for count in counts),
        f"{_rate(read.precision)} ({_rate(weighted.precision)})",
        f"{_rate(read.recall)} ({_rate(weighted.recall)})",
    )


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _columns(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
