"""Comparing a destination with its source: what differs, how many, first examples."""
