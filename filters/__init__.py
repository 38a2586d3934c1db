"""Say why a trace goes: one file a filter, each a pure function from a trace to a reason or None."""
