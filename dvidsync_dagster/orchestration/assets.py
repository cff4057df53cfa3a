"""The assets of one repo: the source's log, and each destination."""

# No `from __future__ import annotations` here: Dagster checks the type of `context`, not its name.

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg

from dvidsync_dagster.config import DestinationConfig, SyncConfig
from dvidsync_dagster.errors import LogGap, LogRecreated
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.orchestration import metadata as meta
from dvidsync_dagster.orchestration.checkpoint_file import read_checkpoint_file, write_checkpoint_file
from dvidsync_dagster.orchestration.checkpoints import CheckpointStore, Claim
from dvidsync_dagster.orchestration.checks import RunEnd, check_results, check_specs
from dvidsync_dagster.orchestration.names import destination_key, kafka_key, log_key, pool_name
from dvidsync_dagster.orchestration.partitions import FOLLOW, Windows
from dvidsync_dagster.orchestration.pools import limit_to_one
from dvidsync_dagster.report import ChunkReport
from dvidsync_dagster.sync import Scope, follow


def kafka_spec(config: SyncConfig) -> dg.AssetSpec:
    """The source's mutation log in Kafka: made by the source, so external to Dagster."""
    return dg.AssetSpec(
        kafka_key(config),
        description=f"The mutation log of repo {config.repo} at {config.source.url}.",
        kinds={"kafka"},
        group_name=config.repo_name,
    )


def destination_asset(config: SyncConfig, destination: DestinationConfig) -> dg.AssetsDefinition:
    """A DVID server that follows the source. Each chunk that is done leaves a materialization."""
    key = destination_key(config, destination)
    windows = Windows.of(config)

    @dg.asset(
        key=key,
        deps=[log_key(config) if config.archive else kafka_key(config)],
        description=f"{destination.url} follows {config.source.url}, repo {config.repo}.",
        metadata={"dvidsync/url": dg.MetadataValue.url(destination.url), "dvidsync/repo": config.repo},
        kinds={"dvid"},
        group_name=config.repo_name,
        partitions_def=windows.definition,
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=check_specs(key),
        pool=pool_name(config, destination),
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(days=1), warn_window=timedelta(hours=2)
        )
        if config.schedule
        else None,
        # Materializations are logged chunk by chunk; an output at the end would add one without a checkpoint.
        output_required=False,
    )
    def follow_source(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult]:
        yield from DestinationRun(context, config, destination, windows).results()

    return follow_source


class DestinationRun:
    """One run of a destination's asset: claims it, follows, and logs what each chunk did."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        config: SyncConfig,
        destination: DestinationConfig,
        windows: Windows,
    ) -> None:
        self._context = context
        self._config = config
        self._destination = destination
        self._windows = windows
        self._store = CheckpointStore(context.instance, context.asset_key)
        self._file = Path(destination.checkpoint_file) if destination.checkpoint_file else None
        self._end = RunEnd()

    def results(self) -> Iterator[dg.AssetCheckResult]:
        """Follow to the end, then answer the checks.

        Raises:
            Failure: the run was launched without windows.
            DvidSyncError: what `follow` raises. After a gap in the log, its check has failed too.
        """
        selected = self._selected_windows()
        limit_to_one(self._context.instance, pool_name(self._config, self._destination))
        try:
            self._follow(selected)
        except (LogGap, LogRecreated) as error:
            self._end.log_error = error
            yield from check_results(self._end)
            raise
        yield from check_results(self._end)

    def _follow(self, selected: list[str]) -> None:
        claim = self._store.claim(self._context.log_event)
        checkpoint = self._checkpoint(claim)
        self._context.log.info(meta.start_text(checkpoint, claim.epoch))
        scope = None
        if FOLLOW not in self._context.run.tags:
            scope = Scope(*self._windows.keys(selected[0], selected[-1]))
        materialized: set[str] = set()
        reports = follow(
            self._config,
            self._destination,
            checkpoint=checkpoint,
            epoch=claim.epoch,
            still_owner=lambda: self._store.check_owner(claim),
            scope=scope,
        )
        with closing(reports):
            for report in reports:
                self._store.check_owner(claim)
                touched = self._touched(report, selected, materialized)
                self._log(report, claim, touched)
                materialized.update(touched)

    def _touched(self, report: ChunkReport, selected: list[str], materialized: set[str]) -> list[str]:
        """The windows to materialize for this report: one at least, as that is what stores its checkpoint."""
        is_empty = report.final and not report.records
        touched = [] if is_empty else self._windows.between(report.from_key, report.to_key)
        if report.final:
            # A window of the run without a materialization would show red.
            touched += [window for window in selected if window not in materialized.union(touched)]
        return touched or [selected[-1]]

    def _checkpoint(self, claim: Claim) -> Checkpoint | None:
        checkpoint = self._store.latest(claim)
        if checkpoint is None and self._file is not None:
            checkpoint = read_checkpoint_file(self._file, self._config.repo)
            return replace(checkpoint, clean=False) if checkpoint is not None else None
        return checkpoint

    def _log(self, report: ChunkReport, claim: Claim, windows: list[str]) -> None:
        self._end.add(report)
        # A chunk that reads windows again carries the old checkpoint; until its run ends it is not clean.
        clean = report.checkpoint.clean and report.final
        checkpoint = replace(report.checkpoint, epoch=claim.epoch, clean=clean)
        metadata = {
            **meta.chunk_metadata(report, checkpoint),
            meta.CHUNK: dg.MetadataValue.int(self._end.chunks),
            meta.OWNER: dg.MetadataValue.text(claim.owner),
        }
        for window in windows:
            self._context.log_event(
                dg.AssetMaterialization(
                    asset_key=self._context.asset_key, partition=window, metadata=metadata
                )
            )
        if self._file is not None:
            write_checkpoint_file(self._file, self._config.repo, checkpoint)
        if report.final:
            self._context.log_event(
                dg.AssetObservation(asset_key=kafka_key(self._config), metadata=meta.log_metadata(report))
            )
        self._context.log.info(meta.chunk_text(report))

    def _selected_windows(self) -> list[str]:
        """The windows that the run was launched for.

        Raises:
            Failure: there are none.
        """
        if not (self._context.has_partition_key or self._context.has_partition_key_range):
            raise dg.Failure(
                'This run was launched without windows. Choose some in the dialog of "Materialize", turn on '
                "the destination's schedule, or use `dvidsync run`.",
                allow_retries=False,
            )
        return list(self._context.partition_keys)
