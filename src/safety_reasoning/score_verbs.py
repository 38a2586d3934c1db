"""The verbs of `safety-reasoning eval` that say how good a run is: scores, and two runs compared."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safety_reasoning import cost_verbs
from safety_reasoning.score_options import (
    DRAWS,
    WRONG,
    DrawsOption,
    JsonOption,
    PolicyOption,
    RunArgument,
    SeedOption,
    member,
    nothing_in_common,
    policy_of,
    print_json,
    print_lines,
)

if TYPE_CHECKING:
    from safety_reasoning.eval.scores.comparable import Ground
    from safety_reasoning.eval.scores.groups import By

app = typer.Typer()
app.add_typer(cost_verbs.app)


@app.command()
def score(
    run: RunArgument,
    policy: PolicyOption = WRONG,
    by: Annotated[
        str | None, typer.Option(help="Also score parts of each task, by category, domain or length.")
    ] = None,
    draws: DrawsOption = DRAWS,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Score a run: F1 under every parse policy, other measures, named averages."""
    from safety_reasoning.eval.runs.folder import read_run
    from safety_reasoning.eval.scores.score import score_run
    from safety_reasoning.eval.scores.text import one_line, run_line
    from safety_reasoning.eval.scores.text_score import part_lines, score_lines

    chosen, parted = policy_of(policy), None if by is None else _by(by)
    loaded = read_run(run)
    rows = loaded.rows
    scores = score_run(rows, draws=draws, seed=seed)
    parts = {} if parted is None else _parts(rows, parted, draws, seed)
    if as_json:
        from safety_reasoning.eval.scores.documents import score_document

        settings = {"policy": chosen.value, "draws": draws, "seed": seed}
        print_json(settings | score_document(scores, parts, by))
        return
    print_lines([run_line(run.name, loaded.stated), *score_lines(scores, chosen, draws=draws)])
    for task, found in parts.items():
        head = one_line(f"{task} by {by}, under the policy `{chosen.value}`")
        print_lines(["", head, *part_lines(str(by), found, chosen)])


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A folder that `eval run` wrote.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Another one, of the same tasks.", metavar="B")],
    policy: PolicyOption = WRONG,
    force: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare though they differ in this: data, labels, policy, prompt, sampling; again for more."
        ),
    ] = None,
    flips: Annotated[
        Path | None, typer.Option(help="Write the rows whose verdicts differ, with both traces: .parquet or .jsonl.")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Show so many of these rows.")] = 0,
    draws: DrawsOption = DRAWS,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs on the same rows; refused where they differ in more than the guard, unless forced."""
    from safety_reasoning.eval.runs.folder import read_run
    from safety_reasoning.eval.scores.comparable import differences, refuse_unless_forced
    from safety_reasoning.eval.scores.compare import averaged
    from safety_reasoning.eval.scores.compare import compare as run_compare
    from safety_reasoning.eval.scores.documents import compare_document
    from safety_reasoning.eval.scores.flips import flipped, write_flips
    from safety_reasoning.eval.scores.text import run_line
    from safety_reasoning.eval.scores.text_compare import compare_lines, flip_lines

    chosen, grounds = policy_of(policy), _grounds(force or ())
    first, second = read_run(a), read_run(b)
    both = set(first.rows["task"].unique()) & set(second.rows["task"].unique())
    differ = differences(first.stated, second.stated, both)
    refuse_unless_forced(differ, grounds)
    compared = run_compare(first.rows, second.rows, policy=chosen, draws=draws, seed=seed)
    if not any(one.rows for one in compared):
        raise nothing_in_common(a, b)
    averages = averaged(compared)
    turned = flipped(first.rows, second.rows)
    if flips is not None:
        write_flips(flips, turned)
    if as_json:
        settings = {"policy": chosen.value, "draws": draws, "seed": seed, "flipped": len(turned)}
        print_json(settings | compare_document(compared, averages, differ))
        return
    print_lines([run_line(f"A, {a.name}", first.stated), run_line(f"B, {b.name}", second.stated)])
    print_lines(compare_lines(compared, averages, differ))
    print_lines(flip_lines(turned, show))
    if flips is not None:
        print(f"the {len(turned)} rows with both traces are in {flips}")


def _parts(rows: Any, by: "By", draws: int, seed: int) -> dict[str, Any]:
    """Each task's parts."""
    from safety_reasoning.eval.scores.groups import score_groups

    tasks = sorted(rows["task"].unique())
    return {task: score_groups(rows.filter(rows["task"] == task), by, draws=draws, seed=seed) for task in tasks}


def _by(name: str) -> "By":
    from safety_reasoning.eval.scores.groups import By

    return member(By, name, "--by")


def _grounds(names: Iterable[str]) -> "list[Ground]":
    from safety_reasoning.eval.scores.comparable import Ground

    return [member(Ground, name, "--force") for name in names]
