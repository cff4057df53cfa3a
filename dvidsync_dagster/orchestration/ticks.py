"""What starts a follower's runs: its job, its schedule, and a sensor for those who want it sooner."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg

from dvidsync_dagster.errors import ConfigurationError, DvidSyncError
from dvidsync_dagster.events.origin import key_text
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration.abandoned import fail_abandoned
from dvidsync_dagster.orchestration.checkpoint_file import read_checkpoint_file
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.partitions import Windows, follow_tags
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.run.causes import OUTAGE, cause_of, found_and_remedy
from dvidsync_dagster.run.lag import Look

SENSOR_SECONDS = 30

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def follower_ticks(follower: Follower) -> dg.Definitions:
    """A follower's job, its schedule (if there is one) and its sensor (off by default).

    Raises:
        ConfigurationError: the schedule is not a cron line.
    """
    name, cron = follower.job, follower.config.schedule
    job = dg.define_asset_job(
        name,
        # The run answers its checks unasked, and what compares everything has a job of its own.
        selection=dg.AssetSelection.assets(follower.key).without_checks(),
        # In one process: a step of its own would outlive a run that is killed, and go on writing.
        executor_def=dg.in_process_executor,
        description=follower.text,
    )

    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return run_under_way(context.instance, follower) or next_run(context.instance, follower)

    schedules = []
    if cron is not None:
        try:
            schedules.append(
                dg.ScheduleDefinition(
                    name=f"{name}_schedule",
                    job=job,
                    cron_schedule=cron,
                    execution_timezone="UTC",
                    execution_fn=tick,
                    default_status=dg.DefaultScheduleStatus.RUNNING,
                )
            )
        except dg.DagsterInvalidDefinitionError:
            raise ConfigurationError(
                "schedule", f"{cron!r} is not a cron line", 'Write it such as "*/10 * * * *".'
            ) from None
    sensors = [] if follower.look is None else [_sensor(follower, follower.look)]
    return dg.Definitions(jobs=[job], schedules=schedules, sensors=sensors)


def _sensor(follower: Follower, look: Callable[[Checkpoint | None], Look]) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{follower.job}_sensor",
        job_name=follower.job,
        minimum_interval_seconds=SENSOR_SECONDS,
        description="Looks for new records between the schedule's ticks. Turn it on for a short lag.",
    )
    def look_for_records(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        busy = run_under_way(context.instance, follower)
        if busy is not None:
            return busy
        checkpoint = known_checkpoint(context.instance, follower)
        try:
            seen = look(checkpoint)
        except DvidSyncError as error:
            if cause_of(error) is not OUTAGE:
                raise
            found, remedy = found_and_remedy(error)
            return dg.SkipReason(f"{OUTAGE.title}: {found} {remedy}")
        if seen.waiting == 0:
            reached = f" up to {key_text(checkpoint.key_ns)}" if checkpoint and checkpoint.key_ns else ""
            return dg.SkipReason(
                f"Nothing to do: all {len(seen.positions)} partitions of the log are applied{reached}."
            )
        return next_run(context.instance, follower)

    return look_for_records


def run_under_way(instance: dg.DagsterInstance, follower: Follower) -> dg.SkipReason | None:
    """Why no further run should start now. Runs that were killed are marked as failed first."""
    alive = fail_abandoned(instance, runs_under_way(instance, follower))
    if not alive:
        return None
    run = alive[0]
    return dg.SkipReason(f"Run {run.run_id} is {run.status.value.lower()}; one at a time works on it.")


def runs_under_way(instance: dg.DagsterInstance, follower: Follower) -> list[dg.DagsterRun]:
    """The runs of the follower that are queued or going on, of its jobs or by "Materialize"."""
    return [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY))
        if run.job_name in (follower.job, follower.repair_job, follower.practice_job)
        or follower.key in (run.asset_selection or ())
    ]


def next_run(instance: dg.DagsterInstance, follower: Follower) -> dg.RunRequest:
    """A run from the checkpoint to now. Makes sure that no two of them work at a time."""
    limit_to_one(instance, follower.pool)
    return dg.RunRequest(tags=next_run_tags(instance, follower))


def next_run_tags(instance: dg.DagsterInstance, follower: Follower) -> dict[str, str]:
    """The tags of a run from the checkpoint to now."""
    windows = Windows.of(follower.config)
    return dict(follow_tags(windows, known_checkpoint(instance, follower), follower.start_key))


def known_checkpoint(instance: dg.DagsterInstance, follower: Follower) -> Checkpoint | None:
    """The checkpoint in Dagster, or else in the configuration's file, or else None."""
    checkpoint = CheckpointStore(instance, follower.key).latest()
    if checkpoint is None and follower.checkpoint_file is not None:
        return read_checkpoint_file(follower.checkpoint_file, follower.config.repo)
    return checkpoint
