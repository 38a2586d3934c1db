"""Teachers: whoever answers a call. One protocol, one file an engine."""
