"""Everything that Dagster shows of a configuration."""

from __future__ import annotations

import warnings

import dagster as dg

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.orchestration.assets import follower_asset, kafka_spec
from dvidsync_dagster.orchestration.checks import run_checks
from dvidsync_dagster.orchestration.comparing import comparing_definitions
from dvidsync_dagster.orchestration.conflict_asset import conflicts_spec
from dvidsync_dagster.orchestration.followers import followers
from dvidsync_dagster.orchestration.maintenance_job import maintenance_definitions
from dvidsync_dagster.orchestration.quarantine_job import quarantine_job
from dvidsync_dagster.orchestration.repair_job import repair_job
from dvidsync_dagster.orchestration.table_assets import Tables, table_specs, tables_known_here
from dvidsync_dagster.orchestration.ticks import follower_ticks


def build_definitions(*configs: SyncConfig, tables: Tables | None = None) -> dg.Definitions:
    """Assets, jobs, schedules and sensors of these configurations, one per repo.

    Args:
        tables: of the buckets; None: those that the Dagster instance of DAGSTER_HOME was told of.

    Raises:
        ConfigurationError: a schedule is not a cron line.
    """
    known = tables_known_here(*configs) if tables is None else tables
    with warnings.catch_warnings():
        # Single-run backfills are in beta; nothing that a user could do about it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.Definitions.merge(*(_repo_definitions(config, known) for config in configs))


def _repo_definitions(config: SyncConfig, tables: Tables) -> dg.Definitions:
    each = followers(config)
    practising = [server for server in config.servers if server.practice is not None]
    assets = [follower_asset(one) for one in each]
    return dg.Definitions.merge(
        dg.Definitions(assets=[kafka_spec(config), *assets], asset_checks=[run_checks(one) for one in each]),
        *(follower_ticks(one) for one in each),
        *(comparing_definitions(config, each) for each in config.destinations),
        dg.Definitions(assets=[conflicts_spec(config, each) for each in config.destinations]),
        dg.Definitions(jobs=[repair_job(config, each) for each in config.destinations]),
        dg.Definitions(jobs=[quarantine_job(config, each) for each in config.destinations]),
        *(maintenance_definitions(config, each) for each in config.buckets),
        *(_practice_definitions(config, server) for server in practising),
        dg.Definitions(
            assets=[spec for each in config.buckets for spec in table_specs(config, each, tables)]
        ),
    )


def _practice_definitions(config: SyncConfig, server: DestinationConfig) -> dg.Definitions:
    from dvidsync_dagster.orchestration.practice_job import practice_definitions  # few people need it

    return practice_definitions(config, server)
