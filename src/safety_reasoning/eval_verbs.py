"""The verbs of `safety-reasoning eval`: how good a guard is."""

import typer

from safety_reasoning import benchmark_verbs, run_verbs, score_verbs

app = typer.Typer(no_args_is_help=True, help="Evaluate guards.")
app.add_typer(benchmark_verbs.app)
app.add_typer(run_verbs.app)
app.add_typer(score_verbs.app)
