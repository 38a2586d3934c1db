"""Benchmarks: declared files, and how their rows become labelled items."""
