"""Guards: how each is asked, and how what it answers is read."""
