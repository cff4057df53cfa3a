"""Maintenance of a snapshot from Dagster: a job with a schedule."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

from datetime import timedelta

import dagster as dg

from dvidsync_dagster.config import BucketConfig, SyncConfig
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.op_job import RESULT, op_job
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.run_log import logged_in_run
from dvidsync_dagster.orchestration.schedules import cron_schedule
from dvidsync_dagster.orchestration.table_events import TableCatalog

MAINTENANCE_OP = "maintain"


def maintenance_definitions(config: SyncConfig, bucket: BucketConfig) -> dg.Definitions:
    """The job, and its schedule if there is one.

    Raises:
        ConfigurationError: the schedule is not a cron line.
    """
    follower = destination_follower(config, bucket)

    @dg.op(
        # Definitions share one room of names, over all destinations and repos.
        name=f"{follower.maintenance_job}_op",
        out=dg.Out(io_manager_key=RESULT),
        # The pool of the runs that follow: one at a time.
        pool=follower.pool,
    )
    def maintain_snapshot(context: dg.OpExecutionContext) -> int:
        # What writes tables is an optional part of the installation.
        from dvidsync_dagster.destinations.bucket.configured_bucket import bucket_of, table_app
        from dvidsync_dagster.destinations.bucket.maintenance import maintain

        limit_to_one(context.instance, follower.pool)
        with failures_told(context), logged_in_run(context):
            done = maintain(
                bucket_of(bucket),
                config.repo,
                app=table_app(config.repo, bucket),
                kept=timedelta(days=bucket.keep_days),
                say=context.log.info,
            )
            TableCatalog(context.instance, follower, context.log_event, context.log.info).tell_rest()
        files = sum(each.files_after for each in done)
        context.add_output_metadata(
            {
                "dvidsync/tables": len(done),
                "dvidsync/files_before": sum(each.files_before for each in done),
                "dvidsync/files": files,
            }
        )
        return files

    job = op_job(
        maintain_snapshot,
        name=follower.maintenance_job,
        alias=MAINTENANCE_OP,
        description=f"Makes few files of many small ones in {bucket.place}, and deletes those that neither "
        f"the snapshot, nor a committed version, nor a reader of the last {bucket.keep_days} days needs.",
    )
    schedules = []
    if bucket.maintenance_schedule is not None:
        field = f"{bucket.field}.maintenance_schedule"
        schedules.append(cron_schedule(job, bucket.maintenance_schedule, field=field, example="15 4 * * *"))
    return dg.Definitions(jobs=[job], schedules=schedules)


def last_maintenance(instance: dg.DagsterInstance, follower: Follower) -> float | None:
    """When the last one that was done ended, in seconds since 1970; None if Dagster knows of none."""
    done = dg.RunsFilter(job_name=follower.maintenance_job, statuses=[dg.DagsterRunStatus.SUCCESS])
    records = instance.get_run_records(done, limit=1)
    return records[0].end_time if records else None
