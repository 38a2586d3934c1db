"""The verb `traces report`: what a store holds, in tables and figures."""

import typer

app = typer.Typer()
