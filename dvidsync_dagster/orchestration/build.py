"""Everything that Dagster shows of a configuration."""

from __future__ import annotations

import warnings

import dagster as dg

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.orchestration.assets import destination_asset, kafka_spec
from dvidsync_dagster.orchestration.ticks import follow_definitions


def build_definitions(*configs: SyncConfig) -> dg.Definitions:
    """Assets, jobs, schedules and sensors of these configurations, one per repo.

    Raises:
        ConfigurationError: a schedule is not a cron line.
    """
    with warnings.catch_warnings():
        # Single-run backfills are in beta; nothing that a user could do about it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Definitions.merge(*(_repo_definitions(config) for config in configs))


def _repo_definitions(config: SyncConfig) -> dg.Definitions:
    assets = [destination_asset(config, destination) for destination in config.destinations]
    return dg.Definitions.merge(
        dg.Definitions(assets=[kafka_spec(config), *assets]),
        *(follow_definitions(config, destination) for destination in config.destinations),
    )
