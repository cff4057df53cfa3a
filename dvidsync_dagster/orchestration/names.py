"""The names of one repo's definitions in Dagster."""

from __future__ import annotations

import dagster as dg

from dvidsync_dagster.config import DestinationConfig, SyncConfig


def kafka_key(config: SyncConfig) -> dg.AssetKey:
    """The source's log in Kafka: an external asset."""
    return dg.AssetKey(["kafka", config.repo_name])


def log_key(config: SyncConfig) -> dg.AssetKey:
    """The archive of the log."""
    return dg.AssetKey([config.repo_name, "mutation_log"])


def destination_key(config: SyncConfig, destination: DestinationConfig) -> dg.AssetKey:
    """A destination."""
    return dg.AssetKey([config.repo_name, destination.name])


def job_name(config: SyncConfig, destination: DestinationConfig) -> str:
    """The job that lets a destination follow."""
    return f"follow_{config.repo_name}_{destination.name}"


def pool_name(config: SyncConfig, destination: DestinationConfig) -> str:
    """The pool that lets one run at a time work on a destination."""
    return f"dvidsync_{config.repo_name}_{destination.name}"
