"""The verbs of versions: what lies between two releases, and which version follows."""

import typer

app = typer.Typer()
