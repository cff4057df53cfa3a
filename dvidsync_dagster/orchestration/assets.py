"""The assets of one repo: the source's log, and what follows it."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import dagster as dg

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.errors import Conflict, DvidSyncError, LogGap, LogRecreated
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.checkpoint_file import read_checkpoint_file, write_checkpoint_file
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore, OwnerClaim
from dvidsync_dagster.orchestration.checks import RunEnd, log_answers
from dvidsync_dagster.orchestration.conflict_asset import show_conflicts
from dvidsync_dagster.orchestration.failing import failures_told
from dvidsync_dagster.orchestration.followers import Follower
from dvidsync_dagster.orchestration.names import kafka_key
from dvidsync_dagster.orchestration.partitions import FOLLOW, Windows
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.orchestration.run_log import logged_in_run
from dvidsync_dagster.orchestration.table_events import TableCatalog
from dvidsync_dagster.outgoing_text import escaped
from dvidsync_dagster.run.follow import Scope
from dvidsync_dagster.run.progress import Progress
from dvidsync_dagster.run.report import ChunkReport


def kafka_spec(config: SyncConfig) -> dg.AssetSpec:
    """The source's mutation log in Kafka: made by the source, so external to Dagster."""
    return dg.AssetSpec(
        kafka_key(config),
        description=f"The mutation log of repo {config.repo} at {config.source.url}.",
        kinds={"kafka"},
        group_name=config.repo_name,
    )


def follower_asset(follower: Follower) -> dg.AssetsDefinition:
    """A destination, or the log's archive. Each chunk that is done leaves a materialization."""
    windows = Windows.of(follower.config)

    @dg.asset(
        key=follower.key,
        deps=[follower.parent],
        description=follower.text,
        kinds={follower.kind},
        group_name=follower.config.repo_name,
        partitions_def=windows.definition,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=follower.pool,
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(days=1), warn_window=timedelta(hours=2)
        )
        if follower.config.schedule
        else None,
        # Materializations are logged chunk by chunk; an output at the end would add one without a checkpoint.
        output_required=False,
    )
    def follow_source(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        with failures_told(context), logged_in_run(context):
            selected = _selected_windows(context)
            scope = None
            if FOLLOW not in context.run.tags:
                scope = Scope(*windows.keys(selected[0], selected[-1]))
            FollowerRun(context, follower, windows).work(selected, scope)
        yield from ()

    return follow_source


class FollowerRun:
    """One run of a follower's asset: claims it, follows, and logs what each chunk did.

    Args:
        context: of the asset's step, or of another one that lets it follow.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        follower: Follower,
        windows: Windows,
    ) -> None:
        self._context = context
        self._follower = follower
        self._windows = windows
        self._store = CheckpointStore(context.instance, follower.key)
        self._end = RunEnd()
        self._began = time.monotonic()
        self._tables = TableCatalog(context.instance, follower, context.log_event, context.log.info)

    def work(self, selected: list[str], scope: Scope | None) -> None:
        """Follow to the end, then answer the checks.

        Args:
            selected: the windows of the run.
            scope: what of the log they cover; None goes from the checkpoint to now.

        Raises:
            DvidSyncError: what `follow` raises. What is known nevertheless is answered too.
        """
        limit_to_one(self._context.instance, self._follower.pool)
        try:
            self._follow(selected, scope)
        except DvidSyncError as error:
            if isinstance(error, LogGap | LogRecreated):
                self._end.log_error = error
            log_answers(self._context, self._follower.key, self._end)
            if isinstance(error, Conflict) or self._end.changed_conflicts:
                self._show_conflicts()
            raise
        log_answers(self._context, self._follower.key, self._end)
        if self._end.changed_conflicts:
            self._show_conflicts()

    def _follow(self, selected: list[str], scope: Scope | None) -> None:
        claim = self._store.claim(self._context.log_event)
        checkpoint = self._checkpoint(claim)
        self._end.reached = checkpoint.key_ns if checkpoint is not None else 0
        # What a run before listed, and did not come to show.
        self._end.changed_conflicts = checkpoint is not None and not checkpoint.clean
        self._context.log.info(meta.start_text(checkpoint, claim.epoch))
        materialized: set[str] = set()
        reports = self._follower.follow(
            checkpoint, claim.epoch, lambda: self._store.check_owner(claim), scope
        )
        with closing(reports):
            for report in reports:
                self._store.check_owner(claim)
                touched = self._touched(report, selected, materialized)
                self._log(report, claim, touched)
                materialized.update(touched)

    def _show_conflicts(self) -> None:
        context = self._context
        show_conflicts(context.instance, self._follower, context.log_event, context.log.warning)

    def _touched(self, report: ChunkReport, selected: list[str], materialized: set[str]) -> list[str]:
        """The windows to materialize for this report: one at least, as that is what stores its checkpoint."""
        is_empty = report.final and not report.records
        touched = [] if is_empty else self._windows.between(report.from_ns, report.to_ns)
        if report.final:
            # A window of the run without a materialization would show red.
            touched += [window for window in selected if window not in materialized.union(touched)]
        return touched or [selected[-1]]

    def _checkpoint(self, claim: OwnerClaim) -> Checkpoint | None:
        checkpoint = self._store.latest(claim)
        file = self._follower.checkpoint_file
        if checkpoint is None and file is not None:
            checkpoint = read_checkpoint_file(file, self._follower.config.repo)
            return replace(checkpoint, clean=False) if checkpoint is not None else None
        return checkpoint

    def _log(self, report: ChunkReport, claim: OwnerClaim, windows: list[str]) -> None:
        self._end.add(report)
        # A chunk that reads windows again carries the old checkpoint; until its run ends it is not clean.
        clean = report.checkpoint.clean and report.final
        checkpoint = replace(report.checkpoint, epoch=claim.epoch, clean=clean)
        metadata = {
            **meta.chunk_metadata(report, checkpoint),
            meta.CHUNK: dg.MetadataValue.int(self._end.chunks),
            meta.OWNER: dg.MetadataValue.text(claim.owner),
        }
        if self._follower.tables_now is not None:
            # Records would pass for rows of the snapshot, which its tables tell.
            del metadata[meta.ROW_COUNT]
        for window in windows:
            self._context.log_event(
                dg.AssetMaterialization(asset_key=self._follower.key, partition=window, metadata=metadata)
            )
        self._tables.tell(report.tables)
        if self._follower.checkpoint_file is not None:
            write_checkpoint_file(self._follower.checkpoint_file, self._follower.config.repo, checkpoint)
        if report.final:
            source = kafka_key(self._follower.config)
            self._context.log_event(dg.AssetObservation(source, metadata=meta.log_metadata(report)))
            self._tables.tell_rest()
        for note in report.notes:
            self._context.log.warning(escaped(note, 2000))
        self._context.log.info(meta.chunk_text(report))
        if not report.final or self._end.chunks > 1:
            self._context.log.info(str(self._progress(report)))

    def _progress(self, report: ChunkReport) -> Progress:
        # Windows that are read again do not move the lag, and nobody has counted what they hold.
        left = report.lag_after.records if report.lag_after != report.lag_before else 0
        return Progress(
            records=self._end.records,
            operations=self._end.operations,
            seconds=time.monotonic() - self._began,
            left=0 if report.final else left,
        )


def _selected_windows(context: dg.AssetExecutionContext) -> list[str]:
    """The windows that the run was launched for.

    Raises:
        Failure: there are none.
    """
    if not (context.has_partition_key or context.has_partition_key_range):
        raise dg.Failure(
            'This run was launched without windows. Choose some in the dialog of "Materialize", turn on '
            "the destination's schedule, or use `dvidsync run`.",
            allow_retries=False,
        )
    return list(context.partition_keys)
