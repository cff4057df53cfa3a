"""What starts a destination's runs: its job, its schedule, and a sensor for those who want it sooner."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dvidsync_dagster.config import DestinationConfig, StartTime, SyncConfig
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.log.record import key_text
from dvidsync_dagster.look import look
from dvidsync_dagster.orchestration.abandoned import fail_abandoned
from dvidsync_dagster.orchestration.checkpoint_file import read_checkpoint_file
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.names import destination_key, job_name, pool_name
from dvidsync_dagster.orchestration.partitions import Windows, follow_tags
from dvidsync_dagster.orchestration.pools import limit_to_one

SENSOR_SECONDS = 30

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def follow_definitions(config: SyncConfig, destination: DestinationConfig) -> dg.Definitions:
    """A destination's job, its schedule (if there is one) and its sensor (off by default).

    Raises:
        ConfigurationError: the schedule is not a cron line.
    """
    name = job_name(config, destination)
    job = dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(destination_key(config, destination)),
        # In one process: a step of its own would outlive a run that is killed, and go on writing.
        executor_def=dg.in_process_executor,
        description=f"{destination.url} follows {config.source.url}, repo {config.repo}.",
    )

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return run_under_way(context.instance, name) or next_run(context.instance, config, destination)

    @dg.sensor(
        name=f"{name}_sensor",
        job=job,
        minimum_interval_seconds=SENSOR_SECONDS,
        description="Looks for new records between the schedule's ticks. Turn it on for a short lag.",
    )
    def look_for_records(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        busy = run_under_way(context.instance, name)
        if busy is not None:
            return busy
        checkpoint = known_checkpoint(context.instance, config, destination)
        seen = look(config, destination, checkpoint)
        if seen.waiting == 0:
            reached = f" up to {key_text(checkpoint.key)}" if checkpoint and checkpoint.key else ""
            return dg.SkipReason(
                f"Nothing to do: all {len(seen.positions)} partitions of the log are applied{reached}."
            )
        return next_run(context.instance, config, destination)

    schedules = []
    if config.schedule is not None:
        try:
            schedules.append(
                dg.ScheduleDefinition(
                    name=f"{name}_schedule",
                    job=job,
                    cron_schedule=config.schedule,
                    execution_timezone="UTC",
                    execution_fn=tick,
                    default_status=dg.DefaultScheduleStatus.RUNNING,
                )
            )
        except dg.DagsterInvalidDefinitionError:
            raise ConfigurationError(
                "schedule", f"{config.schedule!r} is not a cron line", 'Write it such as "*/10 * * * *".'
            ) from None
    return dg.Definitions(jobs=[job], schedules=schedules, sensors=[look_for_records])


def run_under_way(instance: dg.DagsterInstance, job: str) -> dg.SkipReason | None:
    """Why no further run should start now, if one is queued or going on."""
    runs = fail_abandoned(instance, instance.get_runs(dg.RunsFilter(job_name=job, statuses=_UNDER_WAY)))
    if not runs:
        return None
    return dg.SkipReason(
        f"Run {runs[0].run_id} is {runs[0].status.value.lower()}; it goes on to the newest record."
    )


def next_run(
    instance: dg.DagsterInstance, config: SyncConfig, destination: DestinationConfig
) -> dg.RunRequest:
    """A run from the checkpoint to now. Makes sure that no two of them work at a time."""
    limit_to_one(instance, pool_name(config, destination))
    return dg.RunRequest(tags=dict(next_run_tags(instance, config, destination)))


def next_run_tags(
    instance: dg.DagsterInstance, config: SyncConfig, destination: DestinationConfig
) -> dict[str, str]:
    """The tags of a run from the checkpoint to now."""
    checkpoint = known_checkpoint(instance, config, destination)
    start = destination.start.key if isinstance(destination.start, StartTime) else None
    return dict(follow_tags(Windows.of(config), checkpoint, start))


def known_checkpoint(
    instance: dg.DagsterInstance, config: SyncConfig, destination: DestinationConfig
) -> Checkpoint | None:
    """The checkpoint in Dagster, or else in the configuration's file, or else None."""
    checkpoint = CheckpointStore(instance, destination_key(config, destination)).latest()
    if checkpoint is None and destination.checkpoint_file:
        return read_checkpoint_file(Path(destination.checkpoint_file), config.repo)
    return checkpoint
