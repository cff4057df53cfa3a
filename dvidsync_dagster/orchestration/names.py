"""The names of one repo's definitions in Dagster."""

from __future__ import annotations

import dagster as dg

from dvidsync_dagster.config import AnyDestination, SyncConfig

ARCHIVE = "mutation_log"


def kafka_key(config: SyncConfig) -> dg.AssetKey:
    """The source's log in Kafka: an external asset."""
    return dg.AssetKey(["kafka", config.repo_name])


def log_key(config: SyncConfig) -> dg.AssetKey:
    """The archive of the log."""
    return dg.AssetKey([config.repo_name, ARCHIVE])


def comparison_key(destination: dg.AssetKey) -> dg.AssetKey:
    """What the comparisons of a destination with its source came to."""
    return dg.AssetKey([*destination.path, "comparison"])


def conflicts_key(destination: dg.AssetKey) -> dg.AssetKey:
    """What a destination could not take, over all runs."""
    return dg.AssetKey([*destination.path, "conflicts"])


def destination_key(config: SyncConfig, destination: AnyDestination) -> dg.AssetKey:
    """A destination."""
    return dg.AssetKey([config.repo_name, destination.name])
