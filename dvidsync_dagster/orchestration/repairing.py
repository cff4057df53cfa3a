"""Comparing and repairing a destination from Dagster: an asset check with a schedule, and a job."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

from collections.abc import Sequence
from dataclasses import asdict

import dagster as dg

from dvidsync_dagster.compare.comparison import compare
from dvidsync_dagster.compare.findings import Comparison, Difference
from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.errors import ConfigurationError
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.owning import claimed
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.repair.repairing import repair
from dvidsync_dagster.repair.work import Change, Left, Repair

COPIES_AGREE = "copies_agree"
AGREED = "dvidsync/agreed"
"""Ids of what is committed and agreed, so that the next comparison need not read it."""
REPAIR_OP = "repair"
"""The step of each job that repairs; its configuration stands under this name."""

_EVALUATIONS = 100
_RESULT = "repair_result"


class RepairConfig(dg.Config):
    """What a repair may do. `dry_run` shows what would be changed and changes nothing."""

    dry_run: bool = True


def copies_agree_key(follower: Follower) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(follower.key, COPIES_AGREE)


def repairing_definitions(config: SyncConfig) -> dg.Definitions:
    """For each destination the check, its job and schedule, and the job that repairs.

    Raises:
        ConfigurationError: the schedule is not a cron line.
    """
    return dg.Definitions.merge(*(_definitions(config, destination) for destination in config.destinations))


def _definitions(config: SyncConfig, destination: DestinationConfig) -> dg.Definitions:
    follower = destination_follower(config, destination)
    verify = dg.define_asset_job(
        f"verify_{config.repo_name}_{destination.name}",
        selection=dg.AssetSelection.checks(copies_agree_key(follower)),
        executor_def=dg.in_process_executor,
        description=f"Compares {destination.url} with {config.source.url}, repo {config.repo}.",
    )
    schedules = []
    if config.verify_schedule is not None:
        try:
            schedules.append(
                dg.ScheduleDefinition(
                    job=verify,
                    cron_schedule=config.verify_schedule,
                    execution_timezone="UTC",
                    default_status=dg.DefaultScheduleStatus.RUNNING,
                )
            )
        except dg.DagsterInvalidDefinitionError:
            raise ConfigurationError(
                "verify_schedule",
                f"{config.verify_schedule!r} is not a cron line",
                'Write it such as "30 3 * * *".',
            ) from None
    return dg.Definitions(
        asset_checks=[_check(config, destination, follower)],
        jobs=[verify, repair_job(config, destination)],
        schedules=schedules,
    )


def _check(
    config: SyncConfig, destination: DestinationConfig, follower: Follower
) -> dg.AssetChecksDefinition:
    # In the destination's pool: what a run is writing would be taken for a difference.
    @dg.asset_check(
        asset=follower.key,
        name=COPIES_AGREE,
        description="The destination holds what its source holds. Reads everything but what is committed and "
        "agreed before.",
        pool=follower.pool,
    )
    def copies_agree(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        limit_to_one(context.instance, follower.pool)
        agreed = remembered(context.instance, follower)
        with failures_told(context):
            comparison = compare(config, destination, agreed=agreed, say=context.log.info)
        return dg.AssetCheckResult(
            passed=comparison.agree,
            severity=dg.AssetCheckSeverity.WARN,
            description=comparison.summary(),
            metadata=comparison_metadata(comparison),
        )

    return copies_agree


def remembered(instance: dg.DagsterInstance, follower: Follower) -> frozenset[str]:
    """What the last comparison knew to be committed and to agree."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        copies_agree_key(follower), limit=_EVALUATIONS
    )
    for record in history:
        # Of a check that is planned or under way, this is no evaluation yet.
        evaluation = record.evaluation
        stored = evaluation.metadata.get(AGREED) if isinstance(evaluation, dg.AssetCheckEvaluation) else None
        if isinstance(stored, dg.JsonMetadataValue) and isinstance(stored.value, list):
            return frozenset(str(each) for each in stored.value)
    return frozenset()


def remember(instance: dg.DagsterInstance, follower: Follower, comparison: Comparison) -> None:
    """Show a comparison that was made outside of Dagster as the check's, and keep what it knows."""
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=follower.key,
            check_name=COPIES_AGREE,
            passed=comparison.agree,
            severity=dg.AssetCheckSeverity.WARN,
            description=comparison.summary(),
            metadata=comparison_metadata(comparison),
        )
    )


def repair_job(config: SyncConfig, destination: DestinationConfig) -> dg.JobDefinition:
    """The job that repairs; a dry run unless its configuration says otherwise."""
    follower = destination_follower(config, destination)

    @dg.op(
        # Definitions share one room of names, over all destinations and repos.
        name=f"{follower.repair_job}_op",
        out=dg.Out(io_manager_key=_RESULT),
        # The pool of the runs that follow: one at a time.
        pool=follower.pool,
    )
    def repair_destination(context: dg.OpExecutionContext, config: RepairConfig) -> Repair:
        limit_to_one(context.instance, follower.pool)
        with failures_told(context):
            done = _repair(context, follower, destination, config.dry_run)
        context.log.info(done.summary())
        context.add_output_metadata(repair_metadata(done))
        return done

    @dg.job(
        name=follower.repair_job,
        description=f"Brings {destination.url} to the state of {config.source.url} where they differ. "
        "`dry_run: false` in its configuration lets it; otherwise it only shows what it would change.",
        executor_def=dg.in_process_executor,
        resource_defs={_RESULT: dg.mem_io_manager},
    )
    def repair_one() -> None:
        repair_destination.alias(REPAIR_OP)()

    return repair_one


def _repair(
    context: dg.OpExecutionContext, follower: Follower, destination: DestinationConfig, dry_run: bool
) -> Repair:
    still_owner = _nobody_minds if dry_run else claimed(context, follower)
    done = repair(
        follower.config, destination, dry_run=dry_run, still_owner=still_owner, say=context.log.info
    )
    if done.after is not None:
        remember(context.instance, follower, done.after)
    return done


def _nobody_minds() -> None:
    """A dry run needs no claim."""


def comparison_metadata(comparison: Comparison) -> dict[str, dg.MetadataValue]:
    """What a comparison shows on the check's page."""
    return {
        "dvidsync/differences": dg.MetadataValue.int(len(comparison.differences)),
        "dvidsync/differences_table": _table(comparison.differences, _COLUMNS),
        "dvidsync/items_read": dg.MetadataValue.int(comparison.read),
        "dvidsync/compared": dg.MetadataValue.int(comparison.compared),
        "dvidsync/agreed_before": dg.MetadataValue.int(comparison.remembered),
        "dvidsync/seconds": dg.MetadataValue.float(round(comparison.seconds, 3)),
        "dvidsync/notes": dg.MetadataValue.md("\n".join(f"* {note}" for note in comparison.notes) or "none"),
        AGREED: dg.MetadataValue.json(sorted(comparison.agreed)),
    }


def repair_metadata(done: Repair) -> dict[str, dg.MetadataValue]:
    """What a repair shows in its run."""
    metadata: dict[str, dg.MetadataValue] = {
        "dvidsync/dry_run": dg.MetadataValue.bool(done.after is None),
        "dvidsync/changes": dg.MetadataValue.int(sum(change.count for change in done.changes)),
        "dvidsync/changes_table": _table(done.changes, _COLUMNS),
        "dvidsync/not_repaired_table": _table(done.left, [*_COLUMNS, "why"]),
    }
    if done.after is not None:
        metadata["dvidsync/differences_left_table"] = _table(done.after.differences, _COLUMNS)
    return metadata


_COLUMNS = ["version", "instance", "what", "count", "examples"]


def _table(rows: Sequence[Difference | Change | Left], names: Sequence[str]) -> dg.TableMetadataValue:
    records = []
    for row in rows:
        cells = asdict(row)
        cells["examples"] = "; ".join(row.examples)
        records.append(dg.TableRecord({name: cells[name] for name in names}))
    columns = [dg.TableColumn(name, "int" if name == "count" else "string") for name in names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
