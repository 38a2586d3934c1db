"""Verbs of `safety-reasoning`."""

import typer

app = typer.Typer()
