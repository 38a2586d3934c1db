"""Make records: sources, samples, prompts, teachers, store, verdicts, join, release."""
