"""Comparing a destination with its source from Dagster: an asset of its own, its check, a job, a schedule.

The asset holds what comparisons came to. Nothing else leaves anything there: not the runs that follow, and no
backfill of those.
"""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

from dataclasses import replace

import dagster as dg
from pydantic import Field

from dvidsync_dagster.config import AnyDestination, SyncConfig
from dvidsync_dagster.differences.findings import Comparison
from dvidsync_dagster.orchestration.catching_up import catching_up_here
from dvidsync_dagster.orchestration.checks import answer_again
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower, destination_follower
from dvidsync_dagster.orchestration.names import comparison_key
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.run_log import logged_in_run
from dvidsync_dagster.orchestration.schedules import cron_schedule
from dvidsync_dagster.orchestration.tables import table
from dvidsync_dagster.outgoing_text import counted, markdown

COPIES_AGREE = "copies_agree"
AGREED = "dvidsync/agreed"
"""Ids of what is committed and agreed, so that the next comparison need not read it."""
ELSEWHERE = "dvidsync/differences_elsewhere"
"""Of a comparison of chosen versions: the kinds of differences that were known besides."""


class CompareConfig(dg.Config):
    """What a comparison reads, and whether it may let the destination follow first."""

    catch_up: bool = Field(
        default=True,
        description="Let the destination follow to now before it is compared. Without, what it has not "
        "followed is told from what differs by reading the log.",
    )
    everything: bool = Field(default=False, description="Read again what is committed and agreed before.")
    lower_scales: bool = Field(
        default=False,
        description="Compare labelmaps at lower resolutions too. That reads all their voxels there.",
    )
    versions: list[str] = Field(
        default=[], description="Compare only these versions: UUIDs, or their first letters."
    )


def copies_agree_key(follower: Follower) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(comparison_key(follower.key), COPIES_AGREE)


def comparing_definitions(config: SyncConfig, destination: AnyDestination) -> dg.Definitions:
    """The asset of a destination's comparisons, its check, its job and schedule.

    Raises:
        ConfigurationError: the schedule is not a cron line.
    """
    follower = destination_follower(config, destination)
    verify = dg.define_asset_job(
        f"verify_{config.repo_name}_{destination.name}",
        selection=dg.AssetSelection.checks(copies_agree_key(follower)),
        executor_def=dg.in_process_executor,
        description=f"Compares {destination.place} with {config.source.url}, repo {config.repo}.",
    )
    cron = config.verify_schedule
    schedules = (
        [cron_schedule(verify, cron, field="verify_schedule", example="30 3 * * *")]
        if cron is not None
        else []
    )
    asset = dg.AssetSpec(
        comparison_key(follower.key),
        deps=[follower.key],
        description=f"What comparisons of {destination.place} with {config.source.url} came to.",
        kinds={"dvid"},
        group_name=config.repo_name,
    )
    return dg.Definitions(
        assets=[asset],
        asset_checks=[_check(destination, follower)],
        jobs=[verify],
        schedules=schedules,
    )


def _check(destination: AnyDestination, follower: Follower) -> dg.AssetChecksDefinition:
    key = copies_agree_key(follower)

    # In the destination's pool, as it lets the destination follow.
    @dg.asset_check(
        asset=key.asset_key,
        name=COPIES_AGREE,
        description="The destination holds what its source holds. Reads everything but what is committed and "
        "agreed before.",
        pool=follower.pool,
    )
    def copies_agree(context: dg.AssetCheckExecutionContext, config: CompareConfig) -> dg.AssetCheckResult:
        step = context.op_execution_context
        limit_to_one(step.instance, follower.pool)
        try:
            with failures_told(step), logged_in_run(step):
                reached = catching_up_here(step, follower, may_follow=config.catch_up)
                from dvidsync_dagster.compare.comparison import compare

                found = compare(
                    follower.config,
                    destination,
                    agreed=remembered(step.instance, follower, everything=config.everything),
                    versions=config.versions,
                    lower_scales=config.lower_scales,
                    reached=reached,
                    say=step.log.info,
                )
        except dg.Failure:
            answer_again(step, key)
            raise
        found = replace(found, notes=(*reached.notes, *found.notes))
        materialization, answer = shown(step.instance, follower, found)
        step.log_event(materialization)
        return answer

    return copies_agree


def remembered(
    instance: dg.DagsterInstance, follower: Follower, *, everything: bool = False
) -> frozenset[str]:
    """What the last comparison knew to be committed and to agree; nothing if everything is to be read."""
    stored = _last(instance, follower).get(AGREED)
    if everything or not isinstance(stored, dg.JsonMetadataValue) or not isinstance(stored.value, list):
        return frozenset()
    return frozenset(str(each) for each in stored.value)


def shown(
    instance: dg.DagsterInstance, follower: Follower, comparison: Comparison
) -> tuple[dg.AssetMaterialization, dg.AssetCheckResult]:
    """A comparison as its asset's and its check's. One of chosen versions lets the rest stand as it was."""
    elsewhere = _known_elsewhere(instance, follower, comparison)
    metadata = comparison_metadata(comparison, elsewhere)
    others = counted(elsewhere, "kind of difference was", "kinds of differences were")
    more = f"; {others} known in what was not compared now" if elsewhere else ""
    own = comparison.own.line()
    text = comparison.summary() + more + (f"; {markdown(own)}" if own else "")
    return (
        dg.AssetMaterialization(comparison_key(follower.key), description=text, metadata=metadata),
        dg.AssetCheckResult(
            passed=comparison.agree and not elsewhere,
            severity=dg.AssetCheckSeverity.WARN,
            description=text,
            metadata={name: value for name, value in metadata.items() if name != AGREED},
        ),
    )


def _known_elsewhere(instance: dg.DagsterInstance, follower: Follower, comparison: Comparison) -> int:
    if not comparison.versions:
        return 0
    before = _last(instance, follower)
    known = before.get("dvidsync/differences_table")
    rows = known.records if isinstance(known, dg.TableMetadataValue) else []
    left = before.get(ELSEWHERE)
    count = left.value if isinstance(left, dg.IntMetadataValue) and left.value else 0
    return count + sum(row.data["version"] not in comparison.versions for row in rows)


def _last(instance: dg.DagsterInstance, follower: Follower) -> dict[str, dg.MetadataValue]:
    event = instance.get_latest_materialization_event(comparison_key(follower.key))
    materialization = event.asset_materialization if event is not None else None
    return dict(materialization.metadata) if materialization is not None else {}


def comparison_metadata(comparison: Comparison, elsewhere: int) -> dict[str, dg.MetadataValue]:
    """What a comparison shows on its page."""
    metadata: dict[str, dg.MetadataValue] = {
        "dvidsync/differences": dg.MetadataValue.int(len(comparison.differences)),
        "dvidsync/pending": dg.MetadataValue.int(sum(row.count for row in comparison.pending)),
        "dvidsync/items_read": dg.MetadataValue.int(comparison.read),
        "dvidsync/compared": dg.MetadataValue.int(comparison.compared),
        "dvidsync/agreed_before": dg.MetadataValue.int(comparison.remembered),
        "dvidsync/seconds": dg.MetadataValue.float(round(comparison.seconds, 3)),
        AGREED: dg.MetadataValue.json(sorted(comparison.agreed)),
    }
    for name, rows in (("differences", comparison.differences), ("pending", comparison.pending)):
        if rows:
            metadata[f"dvidsync/{name}_table"] = table(rows)
    if comparison.notes:
        notes = "\n".join(f"* {markdown(note)}" for note in comparison.notes)
        metadata["dvidsync/notes"] = dg.MetadataValue.md(notes)
    if comparison.own.line():
        metadata["dvidsync/own"] = dg.MetadataValue.json(comparison.own.as_json())
    if comparison.point:
        metadata["dvidsync/log_time"] = dg.MetadataValue.timestamp(comparison.point / 1e9)
    if comparison.versions:
        metadata["dvidsync/versions"] = dg.MetadataValue.json(list(comparison.versions))
        metadata[ELSEWHERE] = dg.MetadataValue.int(elsewhere)
    return metadata
