"""Practice branches from Dagster: a job that makes a fresh one, by hand, by the clock, or on a commit."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

import dagster as dg
from pydantic import Field

from dvidsync_dagster.config import DestinationConfig, PracticeConfig, SyncConfig
from dvidsync_dagster.config.practice import ON_COMMIT
from dvidsync_dagster.errors import DvidSyncError
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.op_job import RESULT, op_job
from dvidsync_dagster.orchestration.owning import claimed
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.run_log import logged_in_run
from dvidsync_dagster.orchestration.schedules import cron_schedule
from dvidsync_dagster.orchestration.score_job import score_job
from dvidsync_dagster.orchestration.ticks import run_under_way
from dvidsync_dagster.practice.branches import MadeBranch, is_due, make_branch
from dvidsync_dagster.run.causes import OUTAGE, cause_of, found_and_remedy

PRACTICE_OP = "practice"
"""The step of each job that makes a practice branch; its configuration stands under this name."""

SENSOR_SECONDS = 60


class FreshBranchConfig(dg.Config):
    """What the branch begins at."""

    from_version: str | None = Field(
        default=None,
        description="In place of the configured `from`: latest commit, or the first letters of a committed "
        "version's UUID.",
    )


def practice_definitions(config: SyncConfig, server: DestinationConfig) -> dg.Definitions:
    """The job with what starts it, and the one for score sheets; nothing if nobody practises there.

    Raises:
        ConfigurationError: `renew` is not a cron line.
    """
    practice = server.practice
    if practice is None:
        return dg.Definitions()
    follower = destination_follower(config, server)
    job = _job(server, follower, practice)
    schedules, sensors = [], []
    if practice.cron is not None:
        field = f"{server.field}.practice.renew"
        schedules.append(cron_schedule(job, practice.cron, field=field, example="0 5 * * 1"))
    if practice.renew == ON_COMMIT:
        sensors.append(_sensor(config, server, follower, job))
    return dg.Definitions(jobs=[job, score_job(server, follower)], schedules=schedules, sensors=sensors)


def _job(server: DestinationConfig, follower: Follower, practice: PracticeConfig) -> dg.JobDefinition:
    @dg.op(
        # Definitions share one room of names, over all destinations and repos.
        name=f"{follower.practice_job}_op",
        out=dg.Out(io_manager_key=RESULT),
        # The pool of the runs that follow: two that change the versions at once can lock a server up.
        pool=follower.pool,
    )
    def make_practice_branch(context: dg.OpExecutionContext, config: FreshBranchConfig) -> MadeBranch:
        limit_to_one(context.instance, follower.pool)
        with failures_told(context), logged_in_run(context):
            made = make_branch(
                follower.config,
                server,
                from_version=config.from_version,
                still_owner=claimed(context, follower),
                say=context.log.info,
            )
        context.add_output_metadata(fresh_metadata(made))
        return made

    return op_job(
        make_practice_branch,
        name=follower.practice_job,
        alias=PRACTICE_OP,
        description=f"Makes a fresh practice branch at {server.place} now, from {_from(practice)}, and "
        "commits old ones.",
    )


def _from(practice: PracticeConfig) -> str:
    return f"the {practice.from_}" if " " in practice.from_ else f"version {practice.from_}"


def _sensor(
    config: SyncConfig, server: DestinationConfig, follower: Follower, job: dg.JobDefinition
) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{follower.practice_job}_sensor",
        job=job,
        minimum_interval_seconds=SENSOR_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Makes a fresh practice branch once a committed version has arrived.",
    )
    def look_for_commit(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        busy = run_under_way(context.instance, follower)
        if busy is not None:
            return busy
        try:
            due = is_due(config, server)
        except DvidSyncError as error:
            if cause_of(error) is not OUTAGE:
                raise
            found, remedy = found_and_remedy(error)
            return dg.SkipReason(f"{OUTAGE.title}: {found} {remedy}")
        if not due:
            return dg.SkipReason("No committed version has arrived that has no practice branch yet.")
        limit_to_one(context.instance, follower.pool)
        return dg.RunRequest()

    return look_for_commit


def fresh_metadata(made: MadeBranch) -> dict[str, dg.MetadataValue]:
    """What a fresh branch shows in its run."""
    return {
        "dvidsync/branch": dg.MetadataValue.text(made.branch.name),
        "dvidsync/version": dg.MetadataValue.text(made.branch.last.uuid),
        "dvidsync/from": dg.MetadataValue.text(made.branch.parent),
        "dvidsync/closed": dg.MetadataValue.json(list(made.closed)),
    }
