"""The verbs of review: the page on which people mark traces, and how far they agree."""

import typer

app = typer.Typer()
