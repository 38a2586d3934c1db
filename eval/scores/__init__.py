"""Scores: pure functions of row files."""
