"""The verbs of `safety-reasoning eval` that look into runs: costs, escalation, contamination."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safety_reasoning.errors import UsageError
from safety_reasoning.score_options import (
    DRAWS,
    WRONG,
    DrawsOption,
    JsonOption,
    PolicyOption,
    RunArgument,
    SeedOption,
    nothing_in_common,
    pairs,
    policy_of,
    print_json,
    print_lines,
    refuse_twice,
)

if TYPE_CHECKING:
    from safety_reasoning.eval.scores.item_texts import Texts

app = typer.Typer()


@app.command()
def cost(
    runs: Annotated[list[Path], typer.Argument(help="Runs; the first is the baseline of the others.", metavar="RUN…")],
    policy: PolicyOption = WRONG,
    draws: DrawsOption = DRAWS,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say what verdicts cost: latency, tokens, F1 by length of the trace; of several runs, what the others add."""
    from safety_reasoning.eval.runs.folder import read_run
    from safety_reasoning.eval.scores.cost import added, cost_of
    from safety_reasoning.eval.scores.text_cost import cost_lines

    chosen = policy_of(policy)
    named = dict(zip(_names(runs), map(read_run, runs), strict=True))
    base = next(iter(named.values()))
    costs = {name: cost_of(run.rows, run.stated, policy=chosen, draws=draws, seed=seed) for name, run in named.items()}
    beside = {
        name: added(run.rows, run.stated, base.rows, base.stated, chosen)
        for name, run in named.items()
        if run is not base
    }
    if as_json:
        document = {name: one.as_json() for name, one in costs.items()}
        print_json({"policy": chosen.value, "runs": document, "beside_first": _plain(beside)})
    else:
        print_lines(cost_lines(costs, beside))


@app.command()
def escalate(
    fast: Annotated[Path, typer.Argument(help="The run of the guard that is asked first.", metavar="FAST")],
    slow: Annotated[Path, typer.Argument(help="The run of the one that is asked where it is unsure.", metavar="SLOW")],
    policy: PolicyOption = WRONG,
    give_up: Annotated[
        float, typer.Option(min=0, max=1, help="F1 that may be given up for asking the slow guard less often.")
    ] = 0.01,
    draws: DrawsOption = DRAWS,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a rule from two stored runs: the fast guard first, the slow one where that one is unsure."""
    from safety_reasoning.eval.runs.folder import read_run
    from safety_reasoning.eval.scores.escalation import escalate as run_escalate
    from safety_reasoning.eval.scores.text_cost import escalation_lines

    chosen = policy_of(policy)
    found = run_escalate(
        read_run(fast).rows, read_run(slow).rows, policy=chosen, give_up=give_up, draws=draws, seed=seed
    )
    if not found:
        raise nothing_in_common(fast, slow)
    if as_json:
        settings = {"policy": chosen.value, "give_up": give_up, "draws": draws, "seed": seed}
        print_json(settings | {"tasks": _plain(found)})
    else:
        print_lines(escalation_lines(found, give_up=give_up))


@app.command()
def contamination(
    run: RunArgument,
    mixture: Annotated[Path, typer.Argument(help="A folder that `train mix` wrote.", metavar="MIXTURE")],
    items: Annotated[
        Path | None,
        typer.Option(help="The items' texts, .parquet or .jsonl with task, item and prompt, in place of the tasks."),
    ] = None,
    place: Annotated[
        list[str] | None, typer.Option(help="TASK=PATH: read a task from here; may be given again.")
    ] = None,
    policy: PolicyOption = WRONG,
    draws: DrawsOption = DRAWS,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say which items a guard was trained on, and F1 with and without them."""
    from safety_reasoning.eval.runs.folder import read_run
    from safety_reasoning.eval.scores.contamination import contamination as run_contamination
    from safety_reasoning.eval.scores.contamination import own_prompt, thresholds, trained_on
    from safety_reasoning.eval.scores.text_cost import contamination_lines
    from safety_reasoning.train.mixture_read import read_mixture

    chosen = policy_of(policy)
    loaded, taught = read_run(run), read_mixture(mixture)
    texts = _texts(loaded.stated, items, place or ())
    n, min_share = thresholds(taught.stated)
    trained = trained_on(taught.records(), n=n, min_share=min_share, own_prompt=own_prompt(taught.stated))
    found = run_contamination(loaded.rows, texts, trained, policy=chosen, draws=draws, seed=seed)
    other = loaded.stated.get("mixture") not in (None, taught.hash)
    if as_json:
        settings = {"policy": chosen.value, "mixture": taught.hash, "another_mixture": other}
        document = {one.task: one.as_json() for one in found}
        print_json(settings | trained.as_json() | {"tasks": document})
        return
    if other:
        print("the guard of this run states that it was trained on another mixture than this one")
    print_lines(contamination_lines(found, trained))


def _texts(stated: Mapping[str, Any], items: Path | None, places: Iterable[str]) -> "Texts":
    from safety_reasoning.eval.scores.item_texts import texts_from_file, texts_from_tasks

    named = pairs(places, "--place", "TASK=PATH")
    if items is None:
        return texts_from_tasks(stated, {task: Path(path) for task, path in named.items()})
    if named:
        raise UsageError("--place and --items exclude each other", fix="give the items' texts, or the tasks' files")
    return texts_from_file(items)


def _names(runs: list[Path]) -> list[str]:
    """The folders' names, or their paths where two have one name."""
    refuse_twice(runs)
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one.as_json() for name, one in found.items()}
