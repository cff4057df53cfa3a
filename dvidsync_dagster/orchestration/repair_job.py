"""Repairing a destination from Dagster: a job, which changes nothing unless it is told to."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

import dagster as dg
from pydantic import Field

from dvidsync_dagster.config import AnyDestination, DestinationConfig, SyncConfig
from dvidsync_dagster.differences.work import Repair
from dvidsync_dagster.orchestration.catching_up import catching_up_here
from dvidsync_dagster.orchestration.checks import evaluation, log_evaluation
from dvidsync_dagster.orchestration.comparing import COPIES_AGREE, shown
from dvidsync_dagster.orchestration.conflict_asset import SHOWN, show_conflicts
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.op_job import RESULT, op_job
from dvidsync_dagster.orchestration.owning import claimed
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.run_log import logged_in_run
from dvidsync_dagster.orchestration.table_events import TableCatalog
from dvidsync_dagster.orchestration.tables import own_edits_table, table
from dvidsync_dagster.run.conflict_table import conflict_table_of
from dvidsync_dagster.run.listed_conflict import ListedConflict

REPAIR_OP = "repair"
"""The step of each job that repairs; its configuration stands under this name."""


class RepairConfig(dg.Config):
    """What a repair may do."""

    dry_run: bool = Field(default=True, description="Show what would be changed, and change nothing.")
    version: str | None = Field(
        default=None,
        description="Bring only this version to the source's state: its UUID, or its first letters. Without: "
        "all that is followed.",
    )


def repair_job(config: SyncConfig, destination: AnyDestination) -> dg.JobDefinition:
    """The job that repairs; a dry run unless its configuration says otherwise."""
    follower = destination_follower(config, destination)

    @dg.op(
        # Definitions share one room of names, over all destinations and repos.
        name=f"{follower.repair_job}_op",
        out=dg.Out(io_manager_key=RESULT),
        # The pool of the runs that follow: one at a time.
        pool=follower.pool,
    )
    def repair_destination(context: dg.OpExecutionContext, config: RepairConfig) -> Repair:
        limit_to_one(context.instance, follower.pool)
        with failures_told(context), logged_in_run(context):
            done = _repair(context, follower, destination, config)
        context.log.info(done.summary())
        context.add_output_metadata(repair_metadata(done))
        return done

    return op_job(
        repair_destination,
        name=follower.repair_job,
        alias=REPAIR_OP,
        description=f"Brings {destination.place} to the state of {config.source.url} where they differ. "
        "`dry_run: false` in its configuration lets it; otherwise it only shows what it would change. "
        "`version` takes only one version back.",
    )


def _repair(
    context: dg.OpExecutionContext, follower: Follower, destination: AnyDestination, chosen: RepairConfig
) -> Repair:
    dry_run = chosen.dry_run
    reached = catching_up_here(context, follower, may_follow=not dry_run)
    checkpoint = reached()
    for note in reached.notes:
        context.log.warning(note)
    from dvidsync_dagster.repair.repairing import repair

    stopped = _stopped_at(follower, destination) if dry_run else None
    if stopped is not None:
        context.log.warning(_STOPPED.format(where=stopped.row.where, version=stopped.row.version))
    done = repair(
        follower.config,
        destination,
        dry_run=dry_run,
        still_owner=_nobody_minds if dry_run else claimed(context, follower),
        checkpoint=checkpoint,
        stuck=reached.stuck is not None or stopped is not None,
        version=chosen.version,
        say=context.log.info,
    )
    if done.after is not None:
        materialization, answer = shown(context.instance, follower, done.after)
        context.log_event(materialization)
        log_evaluation(context, evaluation(materialization.asset_key, COPIES_AGREE, answer))
    if not dry_run:
        show_conflicts(context.instance, follower, context.log_event, context.log.warning)
        TableCatalog(context.instance, follower, context.log_event, context.log.info).tell_rest()
    return done


def _stopped_at(follower: Follower, destination: AnyDestination) -> ListedConflict | None:
    """Where runs stop. A dry run does not follow, so it does not see whether it could."""
    if not isinstance(destination, DestinationConfig) or destination.skips:
        return None
    return conflict_table_of(follower.config, follower.name).stopped_at()


_STOPPED = (
    "Runs stop at {where}, in version {version}: what the log tells of after it, and is not followed yet, is "
    "brought over too."
)


def _nobody_minds() -> None:
    """A dry run needs no claim."""


def repair_metadata(done: Repair) -> dict[str, dg.MetadataValue]:
    """What a repair shows in its run."""
    metadata: dict[str, dg.MetadataValue] = {
        "dvidsync/dry_run": dg.MetadataValue.bool(done.after is None),
        "dvidsync/changes": dg.MetadataValue.int(sum(change.count for change in done.changes)),
        "dvidsync/changes_table": table(done.changes),
        "dvidsync/own_edits": dg.MetadataValue.int(len(done.own_edits)),
        "dvidsync/own_edits_table": own_edits_table(done.own_edits[:SHOWN]),
        "dvidsync/conflicts_closed": dg.MetadataValue.int(0 if done.after is None else done.conflicts),
        "dvidsync/not_repaired_table": table(done.not_repaired, "why"),
        "dvidsync/pending_table": table(done.pending),
    }
    if done.after is not None:
        metadata["dvidsync/differences_left_table"] = table(done.after.differences)
    return metadata
