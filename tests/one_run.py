"""One run to the end of the log, without Dagster."""

from __future__ import annotations

from dvidsync_dagster.config import SyncConfig
from dvidsync_dagster.log.checkpoint import Checkpoint
from dvidsync_dagster.run.follow import Scope, follow
from dvidsync_dagster.run.report import ChunkReport


def followed(
    config: SyncConfig,
    *,
    checkpoint: Checkpoint | None = None,
    epoch: int = 1,
    scope: Scope | None = None,
) -> list[ChunkReport]:
    """What a run to the first destination reports. Nobody else owns that."""
    reports = follow(
        config,
        config.destinations[0],
        checkpoint=checkpoint,
        epoch=epoch,
        still_owner=lambda: None,
        scope=scope,
    )
    return list(reports)
