"""What people and services may do to runs: one verb a file, each in the caller's scope."""
