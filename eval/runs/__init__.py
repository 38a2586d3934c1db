"""Runs: what guards answered to the items of tasks, one row file a run."""
