"""A bucket as a destination: a snapshot of one branch."""
