"""Sources: one file an upstream format, and `load`, which reads all that a recipe names."""
