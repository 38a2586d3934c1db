"""Verbs of `safety-reasoning eval`."""

import typer

app = typer.Typer()
