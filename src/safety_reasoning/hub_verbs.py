"""The verb `push`: put a release on the Hugging Face Hub."""

import typer

app = typer.Typer()
