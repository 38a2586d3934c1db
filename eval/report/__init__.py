"""Reports: the tables and figures of the paper from runs, beside the paper's own numbers."""
