"""The verbs of `safety-reasoning train`: guards trained from a release."""

import typer

from safety_reasoning import mixture_verbs

app = typer.Typer(no_args_is_help=True, help="Train guards from a release.")
app.add_typer(mixture_verbs.app)
