"""The verbs of mixtures: from a release to what a guard is trained on."""

import typer

app = typer.Typer()
