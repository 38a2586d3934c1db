"""Verbs of `safety-reasoning train`."""

import typer

app = typer.Typer()
