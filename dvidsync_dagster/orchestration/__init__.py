"""Dagster: assets, partitions, schedule, sensor, checks, and the checkpoint store in its event log."""
