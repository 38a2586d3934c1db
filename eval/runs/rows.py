"""The row file of a run: what a guard answered to every item, one row a generation. Scores are functions of it."""

import polars as pl

OK = "ok"
"""`parse` of a row whose verdict could be read; else it is a `Fault` or the call's `Status`."""

SCHEMA = pl.Schema(
    {
        "task": pl.String(),
        "item": pl.String(),  # 32 hex digits: Item.key
        "generation": pl.Int32(),  # 0, 1, … of the run's
        "subject": pl.String(),  # Subject
        "positive": pl.Boolean(),  # the gold label
        "category": pl.String(),  # null: none named
        "domain": pl.String(),  # null: none named
        "chars": pl.Int64(),  # Item.chars
        "status": pl.String(),  # how the call ended (builders/calls.py, Status)
        "finish_reason": pl.String(),
        "reasoning": pl.String(),  # null: none
        "answer": pl.String(),  # as it came, reasoning taken off
        "parse": pl.String(),  # OK, or why there is no verdict
        "predicted": pl.Boolean(),  # null where parse is not OK
        "refusal": pl.Boolean(),  # null: not said
        "probability": pl.Float64(),  # of the positive verdict; null where the engine does not give it
        "prompt_tokens": pl.Int64(),  # these are null where the engine does not count them
        "trace_tokens": pl.Int64(),  # of the reasoning; estimated by its share of the characters where not reported
        "answer_tokens": pl.Int64(),
        "latency_s": pl.Float64(),  # null for engines that answer in batches
    }
)
"""Sorted by task, item and generation."""
