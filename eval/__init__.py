"""Say how good a guard is: benchmarks, guards, runs, scores and reports."""
