"""A Hub on loopback for the real clients: repositories, commits, LFS and Xet storage, and faults on request."""
