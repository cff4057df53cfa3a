"""Schedules from the configuration's cron lines."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from dvidsync_dagster.errors import ConfigurationError


def cron_schedule(
    job: dg.JobDefinition | UnresolvedAssetJobDefinition, cron: str, *, field: str, example: str
) -> dg.ScheduleDefinition:
    """A schedule in UTC that is on from the start.

    Raises:
        ConfigurationError: `field` is not a cron line.
    """
    try:
        return dg.ScheduleDefinition(
            job=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    except dg.DagsterInvalidDefinitionError:
        raise ConfigurationError(
            field, f"{cron!r} is not a cron line", f'Write it such as "{example}".'
        ) from None
